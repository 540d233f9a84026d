using System;
using System.Collections.Generic;
using System.IO;
using Hypervisor.Replication.Disk;

namespace Hypervisor.Simulation;

/// <summary>A disk with a volatile cache: what was not flushed survives a power loss in parts, in any order.</summary>
internal sealed class SimDisk(World world, int firstLengthBytes, CrashPoint crash) : IStandbyDisk
{
    public const int SectorBytes = 16;

    private byte[] _durable = new byte[firstLengthBytes];
    private byte[] _bytes = new byte[firstLengthBytes];
    private readonly HashSet<int> _unflushed = [];

    /// <summary>What a reader sees.</summary>
    public byte[] Bytes => _bytes;

    public long LengthBytes => _bytes.Length;

    /// <summary>Fails the next operation, as a disk does.</summary>
    public bool FailsNext { get; set; }

    public void Resize(long lengthBytes)
    {
        crash.Step();
        Fail();
        Array.Resize(ref _bytes, (int)lengthBytes);
        Array.Resize(ref _durable, (int)lengthBytes);
        _unflushed.RemoveWhere(offset => offset >= lengthBytes);
    }

    public void Write(long offsetBytes, ReadOnlySpan<byte> data)
    {
        for (int done = 0; done < data.Length; done += SectorBytes)
        {
            Touch((int)offsetBytes + done);
            data.Slice(done, SectorBytes).CopyTo(Bytes.AsSpan((int)offsetBytes + done));
        }
    }

    public void WriteZeroes(long offsetBytes, long lengthBytes)
    {
        for (int done = 0; done < lengthBytes; done += SectorBytes)
        {
            Touch((int)offsetBytes + done);
            Bytes.AsSpan((int)offsetBytes + done, SectorBytes).Clear();
        }
    }

    public void Discard(long offsetBytes, long lengthBytes) => WriteZeroes(offsetBytes, lengthBytes);

    /// <summary>Says that it flushed, whether it did or not.</summary>
    public bool IsLying { get; set; }

    public void Flush()
    {
        crash.Step();
        Fail();
        if (IsLying)
        {
            return;
        }

        Bytes.CopyTo(_durable, 0);
        _unflushed.Clear();
    }

    /// <summary>Each sector that was not flushed is old or new.</summary>
    public void LosePower()
    {
        foreach (int offset in _unflushed)
        {
            if (world.Prng.OneIn(2))
            {
                Bytes.AsSpan(offset, SectorBytes).CopyTo(_durable.AsSpan(offset));
            }
        }

        _unflushed.Clear();
        _durable.CopyTo(Bytes, 0);
    }

    private void Touch(int offset)
    {
        crash.Step();
        Fail();
        _unflushed.Add(offset);
        if (IsLying && world.Prng.OneIn(8))
        {
            // A small cache: what was there before is on its platter by now.
            Bytes.AsSpan(offset, SectorBytes).CopyTo(_durable.AsSpan(offset));
        }
    }

    private void Fail()
    {
        if (FailsNext)
        {
            FailsNext = false;
            throw new IOException("simulated disk error");
        }
    }
}
