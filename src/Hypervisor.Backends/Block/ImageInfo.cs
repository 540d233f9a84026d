using Hypervisor.Core.Host;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Backends.Block;

/// <summary>What <c>hv img info</c> tells of an image.</summary>
/// <param name="Path">The file.</param>
/// <param name="Format">Its format.</param>
/// <param name="LengthBytes">Size that a guest sees.</param>
/// <param name="AllocatedBytes">Bytes of host storage behind it; 0 for a block device.</param>
/// <param name="IsBlockDevice">Whether it is a disk and no file.</param>
public sealed record ImageInfo(string Path, string Format, long LengthBytes, long AllocatedBytes, bool IsBlockDevice)
{
    /// <summary>Looks at an image; works while somebody uses it.</summary>
    /// <exception cref="BlockImageException">Missing, unreadable, or no image of that format.</exception>
    public static ImageInfo Read(string path, string format)
    {
        BlockFormat known = BlockFormat.Named(format);
        try
        {
            using SafeFileHandle file = HostFile.Open(path, isWritable: false, isDirect: false);
            HostFileFacts facts = HostFile.Inspect(file);
            return facts.Kind != HostFileKind.Other
                ? new ImageInfo(
                    path, known.Name, facts.LengthBytes, facts.AllocatedBytes, facts.Kind == HostFileKind.BlockDevice)
                : throw new BlockImageException($"{path}: neither a regular file nor a block device");
        }
        catch (HostException e)
        {
            throw new BlockImageException($"{path}: cannot open for reading: {e.Message}");
        }
    }
}
