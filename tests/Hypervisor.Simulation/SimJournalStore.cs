using System;
using System.IO;
using Hypervisor.Replication.Disk;

namespace Hypervisor.Simulation;

/// <summary>A file whose tail, when it was not made durable, survives a power loss in part, with holes.</summary>
internal sealed class SimJournalStore(World world, CrashPoint crash) : IJournalStore
{
    private const int PieceBytes = 8;

    private byte[] _bytes = new byte[4096];
    private int _length;
    private int _durable;
    private byte[]? _untruncated; // by a disk that lies

    public long LengthBytes => _length;

    /// <summary>Fails the next append, as a full disk does.</summary>
    public bool FailsNext { get; set; }

    /// <summary>Says that it is durable, whether it is or not.</summary>
    public bool IsLying { get; set; }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        crash.Step();
        if (FailsNext)
        {
            FailsNext = false;
            throw new IOException("simulated: no space left on device");
        }

        if (_length + bytes.Length > _bytes.Length)
        {
            Array.Resize(ref _bytes, (_length + bytes.Length) * 2);
        }

        _untruncated = null;
        bytes.CopyTo(_bytes.AsSpan(_length));
        _length += bytes.Length;
    }

    public void Barrier()
    {
        crash.Step();
        _durable = IsLying ? world.Prng.Next(_durable, _length + 1) : _length;
    }

    public void Read(long offsetBytes, Span<byte> target)
        => _bytes.AsSpan((int)offsetBytes, target.Length).CopyTo(target);

    public void Truncate(long lengthBytes)
    {
        crash.Step();
        _untruncated = IsLying ? _bytes[.._length] : null;
        _length = _durable = (int)lengthBytes;
    }

    public void LosePower()
    {
        if (_untruncated is { } bytes && world.Prng.OneIn(2))
        {
            bytes.CopyTo(_bytes, 0);
            _length = _durable = bytes.Length;
        }

        int kept = _durable + world.Prng.Next(0, _length - _durable + 1);
        for (int offset = _durable; offset < kept; offset += PieceBytes)
        {
            if (world.Prng.OneIn(16))
            {
                _bytes.AsSpan(offset, Math.Min(PieceBytes, kept - offset)).Clear();
            }
        }

        _length = _durable = kept;
    }
}
