using System;
using System.IO;
using Hypervisor.Core.Host;
using Hypervisor.Replication.Disk;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Replication.Session;

/// <summary>The standby's journal as a file beside its disks.</summary>
/// <remarks>
/// Bytes of an append that failed half way lie behind <see cref="LengthBytes"/> and are overwritten by the next
/// one. A file
/// that was cut off by a power loss is opened as it is: what the journal makes of a torn tail is its own affair.
/// </remarks>
public sealed class FileJournalStore : IJournalStore, IDisposable
{
    private readonly string _path;
    private readonly SafeFileHandle _file;
    private long _lengthBytes;

    /// <summary>Opens or creates the journal, for one process at a time.</summary>
    /// <exception cref="IOException">It cannot be opened, or another process has it.</exception>
    public FileJournalStore(string path)
    {
        _path = path;
        _file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        _lengthBytes = RandomAccess.GetLength(_file);
        DurableFile.SyncDirectoryOf(path);
    }

    /// <inheritdoc/>
    public long LengthBytes => _lengthBytes;

    /// <inheritdoc/>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        RandomAccess.Write(_file, bytes, _lengthBytes); // writes all or throws: a full disk too
        _lengthBytes += bytes.Length;
    }

    /// <inheritdoc/>
    public void Barrier() => RandomAccess.FlushToDisk(_file);

    /// <inheritdoc/>
    public void Read(long offsetBytes, Span<byte> target)
    {
        if (offsetBytes < 0 || target.Length > _lengthBytes - offsetBytes)
        {
            throw new IOException($"journal {_path}: bytes {offsetBytes} + {target.Length} of {_lengthBytes}");
        }

        while (!target.IsEmpty)
        {
            int count = RandomAccess.Read(_file, target, offsetBytes);
            if (count <= 0)
            {
                throw new IOException($"journal {_path} ends at byte {offsetBytes}, it had {_lengthBytes}");
            }

            target = target[count..];
            offsetBytes += count;
        }
    }

    /// <inheritdoc/>
    public void Truncate(long lengthBytes)
    {
        if (lengthBytes < 0 || lengthBytes > _lengthBytes)
        {
            throw new IOException($"journal {_path}: cannot cut {_lengthBytes} bytes off at {lengthBytes}");
        }

        RandomAccess.SetLength(_file, lengthBytes);
        _lengthBytes = lengthBytes;
        Barrier();
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
