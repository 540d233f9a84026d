using System;
using System.Collections.Generic;
using System.IO;
using Hypervisor.Core.Host;
using Hypervisor.Replication.Wire;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Replication.Disk;

/// <summary>
/// A file with two slots that take turns, so that a power cut in the middle of one leaves the other, and a byte to
/// touch.
/// </summary>
internal sealed class WriteIntentFile : IDisposable
{
    private const int Align = 4096; // a torn write of one slot does not reach into the other

    private readonly SafeFileHandle _file;
    private readonly long _diskBytes;
    private readonly long _regionBytes;
    private readonly Guid _boot;
    private readonly byte[] _slot;
    private ulong _revision;

    /// <summary>Opens or makes it, in its full length: later stores need no room.</summary>
    /// <exception cref="IOException">The host refuses.</exception>
    public WriteIntentFile(string path, long diskBytes, long regionBytes, int words, Guid boot)
    {
        _boot = boot;
        _diskBytes = diskBytes;
        _regionBytes = regionBytes;
        _slot = new byte[WriteIntentSlot.Bytes(words)];
        _revision = Load(path, diskBytes, regionBytes, words, boot)?.Revision ?? 0;
        _file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        if (RandomAccess.GetLength(_file) != Length(_slot.Length))
        {
            _revision = 0;
            RandomAccess.Write(_file, new byte[Length(_slot.Length)], 0);
            RandomAccess.SetLength(_file, Length(_slot.Length));
        }

        DurableFile.SyncDirectoryOf(path);
    }

    /// <summary>The newest whole slot of a file; null when there is none.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static WriteIntentSlot? Load(string path, long diskBytes, long regionBytes, int words, Guid boot)
    {
        bool isOne = File.Exists(path) && new FileInfo(path).Length == Length(WriteIntentSlot.Bytes(words));
        return isOne ? Newest(File.ReadAllBytes(path), diskBytes, regionBytes, words, boot) : null;
    }

    /// <summary>The newest whole slot of a file's content of the right length; null when there is none.</summary>
    public static WriteIntentSlot? Newest(
        ReadOnlySpan<byte> content, long diskBytes, long regionBytes, int words, Guid boot)
    {
        int bytes = WriteIntentSlot.Bytes(words);
        WriteIntentSlot? one = WriteIntentSlot.Read(content[..bytes], diskBytes, regionBytes, boot);
        WriteIntentSlot? two = WriteIntentSlot.Read(
            content.Slice((int)Place(bytes), bytes), diskBytes, regionBytes, boot);
        return one is null || two?.Revision > one.Revision ? two : one;
    }

    /// <summary>Removes it durably.</summary>
    /// <exception cref="IOException">The host refuses.</exception>
    public static void Delete(string path)
    {
        if (File.Exists(path))
        {
            File.Delete(path);
            DurableFile.SyncDirectoryOf(path);
        }
    }

    /// <summary>Stores a new version; durable on return.</summary>
    /// <exception cref="IOException">The host refuses; the version before stands.</exception>
    public void Store(IReadOnlyList<ReplicaPoint> points, ulong[] regions)
    {
        _revision++;
        new WriteIntentSlot(_revision, points, regions, _boot).Write(_slot, _diskBytes, _regionBytes);
        RandomAccess.Write(_file, _slot, OffsetOf(_revision, _slot.Length));
        RandomAccess.FlushToDisk(_file);
    }

    /// <summary>Makes the file as new as its disk: an older one would mean that somebody else wrote there.</summary>
    /// <exception cref="IOException">The host refuses.</exception>
    public void Touch() => RandomAccess.Write(_file, [0], 2 * Place(_slot.Length));

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Where a version's slot of a size goes.</summary>
    public static long OffsetOf(ulong revision, int bytes) => (long)(revision & 1) * Place(bytes);

    /// <summary>Length of a file with slots of a size.</summary>
    public static long Length(int bytes) => (2 * Place(bytes)) + 1;

    private static long Place(int bytes) => (bytes + Align - 1) / Align * Align;
}
