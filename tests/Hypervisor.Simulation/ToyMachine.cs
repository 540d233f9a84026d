using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Backends.Block;

namespace Hypervisor.Simulation;

/// <summary>A guest small enough to check completely: eight pages, two disks, a console, requests in flight.</summary>
/// <remarks>
/// RAM holds, per sector of each disk, the value that the last completed request left there; so disks and RAM of a
/// cut can
/// be held against each other. On disk 0 the guest keeps a log: write record r, flush, then print that r is safe.
/// </remarks>
internal sealed class ToyMachine
{
    public const int PageBytes = 64;
    public const int Pages = 8;
    public const int Disks = 2;
    public const int SectorsPerDisk = 24;
    public const int LogSlots = 8;
    public const byte StepMark = (byte)'S';
    public const byte RecordMark = (byte)'R';
    public const int LineBytes = 9;
    public const ulong RecordFlag = 1ul << 40;

    private const int ScratchPage = 6;
    private const int InFlightMax = 6;

    private readonly Prng _prng = new(0);
    private readonly List<ToyRequest> _inFlight = [];
    private readonly int[] _sectors = [SectorsPerDisk, SectorsPerDisk];
    private ulong _step;
    private ulong _nextId = 1;
    private ulong _record;
    private bool _isLogging;

    public byte[] Ram { get; } = new byte[Pages * PageBytes];

    public bool[] Dirty { get; } = new bool[Pages];

    public IReadOnlyList<ToyRequest> InFlight => _inFlight;

    /// <summary>Bytes that the console has printed.</summary>
    public long ConsoleBytes { get; private set; }

    public ulong StepCount => _step;

    public void Seed(ulong seed) => _prng.State = seed;

    /// <summary>Starts from disks that hold something; requests of another life have other numbers.</summary>
    public void Boot(ReadOnlySpan<SimDisk> disks, ulong life)
    {
        _nextId = (life << 20) + 1;
        for (int disk = 0; disk < Disks; disk++)
        {
            for (int sector = 0; sector < SectorsPerDisk; sector++)
            {
                ulong value = BinaryPrimitives.ReadUInt64LittleEndian(
                    disks[disk].Bytes.AsSpan(sector * SimDisk.SectorBytes));
                Store(8 * ((disk * SectorsPerDisk) + sector), value);
                bool isRecord = disk == 0 && sector < LogSlots && (value & RecordFlag) != 0;
                _record = isRecord ? Math.Max(_record, value & ~RecordFlag) : _record;
            }
        }
    }

    /// <summary>The disks have the sizes that they have.</summary>
    public void LookAtSizes(ReadOnlySpan<SimDisk> disks)
    {
        for (int disk = 0; disk < Disks; disk++)
        {
            _sectors[disk] = (int)disks[disk].LengthBytes / SimDisk.SectorBytes;
        }
    }

    /// <summary>
    /// A disk gets another size: never less than what RAM knows of it, so what is behind is held against the other side
    /// only. One at a time.
    /// </summary>
    public void Resize(int disk, int sectors, Action<ToyRequest> submit)
    {
        if (!_inFlight.Exists(request => request.Operation == BlockOperation.Resize))
        {
            _sectors[disk] = Math.Min(_sectors[disk], sectors);
            Issue(submit, new(_nextId++, disk, BlockOperation.Resize, 0, sectors, 0));
        }
    }

    public bool IsResizing(int disk)
        => _inFlight.Exists(request => request.Disk == disk && request.Operation == BlockOperation.Resize);

    /// <summary>The last record that the guest began to write.</summary>
    public ulong Record => _record;

    /// <summary>Runs one step; disk requests and console bytes go out through the two callbacks.</summary>
    public void Step(Action<ToyRequest> submit, Action<byte[]> print)
    {
        _step++;
        int page = ScratchPage + _prng.Next(0, Pages - ScratchPage);
        Store((page * PageBytes) + (8 * _prng.Next(0, PageBytes / 8)), _step);
        if (_prng.OneIn(3))
        {
            Print(print, StepMark, _step);
        }

        for (int disk = 0; disk < Disks; disk++)
        {
            if (_sectors[disk] > SectorsPerDisk && _inFlight.Count < InFlightMax && _prng.OneIn(4))
            {
                int sector = _prng.Next(SectorsPerDisk, _sectors[disk]);
                ulong id = _nextId++;
                Issue(submit, new(id, disk, BlockOperation.Write, sector, 1, id));
            }
        }

        if (!_isLogging)
        {
            _isLogging = true;
            _record++;
            Issue(submit, new(_nextId++, 0, BlockOperation.Write, (int)(_record % LogSlots), 1, RecordFlag | _record));
        }

        if (_inFlight.Count < InFlightMax && _prng.OneIn(3))
        {
            int count = _prng.Next(1, 4);
            int sector = LogSlots + _prng.Next(0, SectorsPerDisk - LogSlots - count + 1);
            BlockOperation operation = _prng.Next(0, 8) switch
            {
                0 => BlockOperation.Discard,
                1 => BlockOperation.WriteZeroes,
                _ => BlockOperation.Write,
            };
            ulong id = _nextId++;
            Issue(submit, new(id, _prng.Next(0, Disks), operation, sector, count, id));
        }
    }

    /// <summary>A disk finished a request: data, state and consequences in one go.</summary>
    public void Complete(ToyRequest request, Action<ToyRequest> submit, Action<byte[]> print)
    {
        _inFlight.Remove(request);
        if (request.Operation == BlockOperation.Flush)
        {
            _isLogging = false;
            Print(print, RecordMark, _record);
            return;
        }

        if (request.Operation == BlockOperation.Resize)
        {
            _sectors[request.Disk] = request.Count;
            return;
        }

        for (int i = 0; i < request.Count && request.Sector + i < SectorsPerDisk; i++)
        {
            Store(8 * ((request.Disk * SectorsPerDisk) + request.Sector + i), request.ValueAfter);
        }

        if (request.Operation == BlockOperation.Write && (request.Value & RecordFlag) != 0)
        {
            Issue(submit, new(_nextId++, 0, BlockOperation.Flush, 0, 0, 0));
        }
    }

    /// <summary>The value that the guest believes a sector to hold.</summary>
    public ulong Believed(int disk, int sector)
        => BinaryPrimitives.ReadUInt64LittleEndian(Ram.AsSpan(8 * ((disk * SectorsPerDisk) + sector)));

    /// <summary>Everything but RAM.</summary>
    public byte[] Save()
    {
        byte[] state = new byte[48 + (_inFlight.Count * 32)];
        Span<byte> rest = state;
        foreach (ulong value in (ReadOnlySpan<ulong>)
            [_step, _nextId, _record, Flags, (ulong)ConsoleBytes, _prng.State])
        {
            BinaryPrimitives.WriteUInt64LittleEndian(rest, value);
            rest = rest[8..];
        }

        foreach (ToyRequest request in _inFlight)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(rest, request.Id);
            BinaryPrimitives.WriteUInt64LittleEndian(rest[8..], request.Value);
            BinaryPrimitives.WriteInt32LittleEndian(rest[16..], request.Disk);
            BinaryPrimitives.WriteInt32LittleEndian(rest[20..], (int)request.Operation);
            BinaryPrimitives.WriteInt32LittleEndian(rest[24..], request.Sector);
            BinaryPrimitives.WriteInt32LittleEndian(rest[28..], request.Count);
            rest = rest[32..];
        }

        return state;
    }

    public void Load(ReadOnlySpan<byte> state, ReadOnlySpan<byte> ram)
    {
        ram.CopyTo(Ram);
        _step = Take(ref state);
        _nextId = Take(ref state);
        _record = Take(ref state);
        ulong flags = Take(ref state);
        _isLogging = (flags & 1) == 1;
        _sectors[0] = SectorsPerDisk + (byte)(flags >> 8);
        _sectors[1] = SectorsPerDisk + (byte)(flags >> 16);
        ConsoleBytes = (long)Take(ref state);
        _prng.State = Take(ref state);
        _inFlight.Clear();
        while (state.Length > 0)
        {
            ulong id = Take(ref state);
            ulong value = Take(ref state);
            ulong place = Take(ref state);
            ulong range = Take(ref state);
            _inFlight.Add(new(
                id, (int)(uint)place, (BlockOperation)(place >> 32), (int)(uint)range, (int)(range >> 32), value));
        }
    }

    private ulong Flags => (_isLogging ? 1ul : 0)
        | ((ulong)(_sectors[0] - SectorsPerDisk) << 8) | ((ulong)(_sectors[1] - SectorsPerDisk) << 16);

    private static ulong Take(ref ReadOnlySpan<byte> state)
    {
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(state);
        state = state[8..];
        return value;
    }

    private void Issue(Action<ToyRequest> submit, ToyRequest request)
    {
        _inFlight.Add(request);
        submit(request);
    }

    private void Print(Action<byte[]> print, byte mark, ulong value)
    {
        byte[] line = new byte[LineBytes];
        line[0] = mark;
        BinaryPrimitives.WriteUInt64LittleEndian(line.AsSpan(1), value);
        ConsoleBytes += line.Length;
        print(line);
    }

    private void Store(int offset, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(Ram.AsSpan(offset), value);
        Dirty[offset / PageBytes] = true;
    }
}
