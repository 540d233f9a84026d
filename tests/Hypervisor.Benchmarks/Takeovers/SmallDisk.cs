using System;
using System.Globalization;
using System.IO;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>A file system of its own for what a host keeps, so that it can be full.</summary>
internal sealed class SmallDisk : IDisposable
{
    private const int Mebibytes = 256; // a guest's disk of 64 MiB and two segments of a journal

    private readonly string _image;

    /// <summary>Makes and mounts it.</summary>
    /// <param name="folder">Where; the image lies beside.</param>
    public SmallDisk(string folder)
    {
        Folder = folder;
        _image = folder + ".fs";
        _ = Directory.CreateDirectory(folder);
        string size = Mebibytes.ToString(CultureInfo.InvariantCulture);
        _ = HostCommand.Output("truncate", "-s", size + "M", _image);
        _ = HostCommand.Output("/sbin/mkfs.ext4", "-q", "-F", "-m", "0", _image); // nothing is kept back for root
        _ = HostCommand.Output("mount", "-o", "loop", _image, folder);
    }

    /// <summary>Where it is mounted.</summary>
    public string Folder { get; }

    private string Filler => Path.Combine(Folder, "filler");

    /// <summary>Leaves no room on it.</summary>
    public void Fill()
    {
        long free = new DriveInfo(Folder).AvailableFreeSpace;
        const long Step = 64 << 10; // blocks for the file's own map come out of the same room
        while (free > 0 && !TryAllocate(free))
        {
            free -= Step;
        }
    }

    /// <summary>Makes room again.</summary>
    public void MakeRoom() => File.Delete(Filler);

    /// <inheritdoc/>
    public void Dispose()
    {
        _ = HostCommand.Output("umount", Folder);
        Directory.Delete(Folder);
        File.Delete(_image);
    }

    private bool TryAllocate(long bytes)
    {
        try
        {
            using var file = new FileStream(Filler, new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                PreallocationSize = bytes,
            });
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
