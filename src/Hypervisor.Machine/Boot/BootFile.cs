using System;
using System.IO;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Machine.Boot;

/// <summary>A kernel, initrd or module: a file, or bytes that are in memory anyway (the embedded guests).</summary>
public sealed class BootFile : IDisposable
{
    private readonly SafeFileHandle? _handle;
    private readonly byte[] _bytes;

    private BootFile(string role, string name, SafeFileHandle? handle, byte[] bytes, long lengthBytes)
    {
        Role = role;
        Name = name;
        _handle = handle;
        _bytes = bytes;
        LengthBytes = lengthBytes;
    }

    /// <summary>What it is for, as error messages call it: "kernel", "initrd", "module".</summary>
    public string Role { get; }

    /// <summary>Path, or another name for the user.</summary>
    public string Name { get; }

    /// <summary>Size in bytes.</summary>
    public long LengthBytes { get; }

    /// <summary>Opens a file.</summary>
    /// <exception cref="BootException">Missing, unreadable, empty, or no regular file.</exception>
    public static BootFile Open(string role, string path)
    {
        try
        {
            FileAttributes attributes = File.GetAttributes(path);
            if ((attributes & (FileAttributes.Directory | FileAttributes.Device)) != 0)
            {
                throw new BootException($"{role} {path}: not a regular file");
            }

            SafeFileHandle handle = File.OpenHandle(path);
            long lengthBytes = RandomAccess.GetLength(handle);
            if (lengthBytes == 0)
            {
                handle.Dispose();
                throw new BootException($"{role} {path}: the file is empty");
            }

            return new BootFile(role, path, handle, [], lengthBytes);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new BootException($"{role} {path}: no such file", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new BootException($"{role} {path}: permission denied", e);
        }
        catch (Exception e) when (e is IOException or ArgumentException or NotSupportedException)
        {
            throw new BootException($"{role} {path}: {OneLine(e.Message)}", e);
        }
    }

    /// <summary>Wraps <paramref name="bytes"/>.</summary>
    public static BootFile FromBytes(string role, string name, byte[] bytes) => new(role, name, null, bytes, bytes.Length);

    /// <summary>Fills <paramref name="target"/> from <paramref name="offset"/> on.</summary>
    /// <exception cref="BootException">The file ends before, or can't be read.</exception>
    public void Read(long offset, Span<byte> target)
    {
        if (offset < 0 || offset > LengthBytes || target.Length > LengthBytes - offset)
        {
            throw Truncated(offset, target.Length);
        }

        if (_handle is null)
        {
            _bytes.AsSpan((int)offset, target.Length).CopyTo(target);
            return;
        }

        try
        {
            while (!target.IsEmpty)
            {
                int count = RandomAccess.Read(_handle, target, offset);
                if (count == 0)
                {
                    throw Truncated(offset, target.Length);
                }

                target = target[count..];
                offset += count;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BootException($"{Role} {Name}: {OneLine(e.Message)}", e);
        }
    }

    /// <summary>The first bytes, at most <paramref name="count"/>.</summary>
    public byte[] Head(int count)
    {
        byte[] head = new byte[Math.Min(count, LengthBytes)];
        Read(0, head);
        return head;
    }

    /// <summary>The error that this file can't be used, with a <paramref name="reason"/>.</summary>
    public BootException Refused(string reason) => new($"{Role} {Name}: {reason}");

    /// <inheritdoc/>
    public void Dispose() => _handle?.Dispose();

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");

    private BootException Truncated(long offset, long lengthBytes)
        => Refused($"truncated: {lengthBytes} bytes wanted at {offset}, the file has {LengthBytes}");
}
