using System;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Images;
using Xunit;

namespace Hypervisor.Tests.Backends.Block;

public sealed partial class ImageLockTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"hv-lock-{Guid.NewGuid():N}.img");

    public void Dispose() => File.Delete(_path);

    /// <summary>As a child has it between fork and exec: the same open file, so the same lock.</summary>
    [Fact]
    public void Lock_ends_with_the_image_though_somebody_still_has_its_file()
    {
        RawImage.Create(_path, 1 << 20);
        RawImage image = Open(isReadOnly: false);
        Assert.Throws<BlockImageException>(() => Open(isReadOnly: true));
        int copy = Duplicate(DescriptorOf(_path));
        try
        {
            image.Dispose();

            Open(isReadOnly: false).Dispose();
        }
        finally
        {
            Assert.Equal(0, Close(copy));
        }
    }

    private RawImage Open(bool isReadOnly) => RawImage.Open(_path, isReadOnly, isDirect: false, static _ => { });

    private static int DescriptorOf(string path)
    {
        foreach (string entry in Directory.GetFileSystemEntries("/proc/self/fd"))
        {
            if (new FileInfo(entry).LinkTarget == path)
            {
                return int.Parse(Path.GetFileName(entry), CultureInfo.InvariantCulture);
            }
        }

        throw new InvalidOperationException($"{path} is not open");
    }

    [LibraryImport("libc", EntryPoint = "dup", SetLastError = true)]
    private static partial int Duplicate(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
