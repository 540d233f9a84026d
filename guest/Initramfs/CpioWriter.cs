using System;
using System.Globalization;
using System.IO;
using System.Text;

namespace Hypervisor.Guest.Initramfs;

/// <summary>Writes a cpio archive in the "newc" format, which the Linux kernel unpacks as its initramfs.</summary>
/// <remarks>
/// Spec: Linux Documentation/driver-api/early-userspace/buffer-format.rst. An entry: "070701", then 13 fields of eight
/// hex digits (inode, mode, uid, gid, links, mtime, size, device major and minor, node major and minor, name length, 0),
/// the name with its zero, padding to four bytes, data, padding to four bytes. Owner root, time 0: same input, same bytes.
/// </remarks>
public sealed class CpioWriter(Stream target)
{
    private const uint RegularFile = 0x8000;
    private const uint Directory = 0x4000;
    private const uint SymbolicLink = 0xA000;
    private const uint CharacterDevice = 0x2000;
    private const string Trailer = "TRAILER!!!";

    private uint _inode;
    private long _position;

    /// <summary>Adds a directory. Parents come first.</summary>
    public void AddDirectory(string path) => AddEntry(path, Directory | 0x1ED, []); // rwxr-xr-x

    /// <summary>Adds a file, executable or not.</summary>
    public void AddFile(string path, ReadOnlySpan<byte> content, bool executable)
        => AddEntry(path, RegularFile | (executable ? 0x1EDu : 0x1A4u), content);

    /// <summary>Adds a symbolic link.</summary>
    public void AddLink(string path, string linkTarget)
        => AddEntry(path, SymbolicLink | 0x1FF, Encoding.UTF8.GetBytes(linkTarget));

    /// <summary>Adds a character device node.</summary>
    public void AddCharacterDevice(string path, uint major, uint minor)
        => AddEntry(path, CharacterDevice | 0x180, [], major, minor); // rw-------

    /// <summary>Ends the archive. Nothing may be added afterwards.</summary>
    public void Finish()
    {
        _inode = 0;
        WriteHeader(Trailer, 0, 0, 0, 0);
    }

    private void AddEntry(string path, uint mode, ReadOnlySpan<byte> content, uint major = 0, uint minor = 0)
    {
        if (path.Length == 0 || path[0] == '/')
        {
            throw new ArgumentException($"cpio path '{path}' must be relative", nameof(path));
        }

        _inode++;
        WriteHeader(path, mode, (uint)content.Length, major, minor);
        Write(content);
        Pad();
    }

    private void WriteHeader(string path, uint mode, uint sizeBytes, uint major, uint minor)
    {
        byte[] name = Encoding.UTF8.GetBytes(path);
        uint links = (mode & 0xF000) == Directory ? 2u : 1u;
        uint[] fields = [_inode, mode, 0, 0, links, 0, sizeBytes, 0, 0, major, minor, (uint)name.Length + 1, 0];
        Write("070701"u8);
        foreach (uint field in fields)
        {
            Write(Encoding.ASCII.GetBytes(field.ToString("X8", CultureInfo.InvariantCulture)));
        }

        Write(name);
        Write([0]);
        Pad();
    }

    private void Pad() => Write(new byte[(int)(-_position & 3)]);

    private void Write(ReadOnlySpan<byte> bytes)
    {
        target.Write(bytes);
        _position += bytes.Length;
    }
}
