using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;

namespace Hypervisor.TestKit;

/// <summary>
/// A machine without an instruction set: threads that store to RAM, write records to disks, and print.
/// </summary>
/// <remarks>
/// "vCPU" 0 runs the guest's program: per step a record to every disk, a flush, then the step's number on the
/// console and at RAM address 0. The others dirty pages. A disk request may be in flight at a cut; it is state, and is
/// issued again.
/// </remarks>
public sealed class ToyMachine : IProtectedMachine, IDisposable
{
    /// <summary>Size of a record on disk; record n lies in slot n modulo the disk's size.</summary>
    public const int RecordBytes = 512;

    /// <summary>What it never writes to at the end of a disk, as at the end of RAM.</summary>
    public const int UntouchedBytes = 4096;

    /// <summary>Places for records on a disk.</summary>
    public static int SlotsOf(long diskBytes) => (int)((diskBytes - UntouchedBytes) / RecordBytes);

    private readonly IByteStream _console;
    private readonly ToyCpu[] _cpus;
    private readonly ToyProgram _program;
    private readonly List<Thread> _threads = [];

    // The system's semaphores do not spin: on a busy host every yield of a spin costs a whole round of the scheduler.
    private readonly Semaphore _go = new(0, int.MaxValue); // one permit per parked thread
    private readonly Semaphore _parked = new(0, int.MaxValue);
    private volatile bool _isPausing = true;
    private volatile bool _isOver;

    public ToyMachine(
        long ramBytes, IReadOnlyList<IBlockDevice> disks, IByteStream console, int cpus = 2, int storesPerStep = 1)
    {
        Ram = new GuestRam(ramBytes);
        _console = console;
        _program = new ToyProgram(Ram, disks, Print);
        _cpus = new ToyCpu[cpus];
        var components = new List<ICheckpointed> { _program };
        for (ushort i = 0; i < cpus; i++)
        {
            _cpus[i] = new ToyCpu(Ram, i, storesPerStep);
            components.Add(_cpus[i]);
        }

        Components = components;
    }

    public GuestRam Ram { get; }

    public IReadOnlyList<ICheckpointed> Components { get; }

    /// <summary>Steps that the program has finished.</summary>
    public long Step => _program.Step;

    public void Pause()
    {
        _isPausing = true;
        for (int i = 0; i < _threads.Count; i++)
        {
            _ = _parked.WaitOne();
        }
    }

    public void WhenIdle(Action onIdle)
    {
        // It never is.
    }

    public void Resume()
    {
        _isPausing = false;
        if (_threads.Count == 0)
        {
            for (int i = 0; i < _cpus.Length; i++)
            {
                int number = i;
                var thread = new Thread(() => Run(number)) { IsBackground = true };
                _threads.Add(thread);
                thread.Start();
            }
        }
        else
        {
            _ = _go.Release(_threads.Count);
        }
    }

    public void RearmWrites()
    {
    }

    public void AfterLoad() => _program.IssueAgain();

    public void Dispose()
    {
        _isOver = true;
        _isPausing = false;
        _ = _go.Release(_cpus.Length);
        _threads.ForEach(thread => thread.Join());
        Ram.Dispose();
        _go.Dispose();
        _parked.Dispose();
    }

    private void Run(int number)
    {
        while (!_isOver)
        {
            if (_isPausing)
            {
                _ = _parked.Release();
                _ = _go.WaitOne();
                continue;
            }

            if (number == 0)
            {
                _program.Advance();
            }

            _cpus[number].Store();
            _ = Thread.Yield(); // tests share the host
        }
    }

    private void Print(long step) => _console.Write(Encoding.ASCII.GetBytes($"{step}\n"));
}

/// <summary>The program of a <see cref="ToyMachine"/>: a state machine that moves between two pauses only.</summary>
internal sealed class ToyProgram(GuestRam ram, IReadOnlyList<IBlockDevice> disks, Action<long> print) : ICheckpointed
{
    private long _step;
    private int _disk;      // which one the request in flight goes to
    private bool _isFlush;
    private bool _isInFlight;
    private readonly byte[] _record = new byte[ToyMachine.RecordBytes];
    private volatile BlockRequest? _done; // set by the disk's thread, taken by vCPU 0

    public SectionId Section => new(0x4F54_5250, 0, 1); // "PRTO"

    public long Step => Volatile.Read(ref _step);

    public void Transfer(ref StateCodec state)
    {
        state.I64(ref _step);
        state.I32(ref _disk);
        state.Bool(ref _isFlush);
        state.Bool(ref _isInFlight);
    }

    public void IssueAgain()
    {
        if (_isInFlight)
        {
            Issue();
        }
    }

    public void Advance()
    {
        if (!_isInFlight)
        {
            Issue();
            return;
        }

        if (_done is not { } request)
        {
            return;
        }

        _done = null;
        if (request.Status != BlockStatus.Ok)
        {
            return; // a guest that cannot write stands still
        }

        _isInFlight = false;
        _disk = (_disk + 1) % disks.Count;
        if (_disk == 0)
        {
            if (_isFlush)
            {
                Finish();
            }

            _isFlush = !_isFlush;
        }
    }

    private void Finish()
    {
        Volatile.Write(ref _step, _step + 1);
        BinaryPrimitives.WriteInt64LittleEndian(ram.WritableBytes(0, sizeof(long)), _step);
        print(_step);
    }

    private void Issue()
    {
        _isInFlight = true;
        BinaryPrimitives.WriteInt64LittleEndian(_record, _step + 1);
        _record.AsSpan(sizeof(long)).Fill((byte)(_step + 1));
        long slots = ToyMachine.SlotsOf(disks[_disk].LengthBytes);
        disks[_disk].Submit(new BlockRequest(request => _done = request)
        {
            Operation = _isFlush ? BlockOperation.Flush : BlockOperation.Write,
            OffsetBytes = _isFlush ? 0 : (_step + 1) % slots * ToyMachine.RecordBytes,
            LengthBytes = _isFlush ? 0 : _record.Length,
            Buffer = _isFlush ? default : (byte[])_record.Clone(),
        });
    }
}

/// <summary>A thread's stores: seeded, and resumed from its section.</summary>
internal sealed class ToyCpu(GuestRam ram, ushort number, int storesPerStep) : ICheckpointed
{
    private ulong _random = 88_172_645_463_325_252ul + number;

    public SectionId Section => new(0x5550_4354, number, 1); // "TCPU"

    public void Transfer(ref StateCodec state) => state.U64(ref _random);

    public void Store()
    {
        for (int i = 0; i < storesPerStep; i++)
        {
            _random ^= _random << 13; // xorshift64 (Marsaglia, 2003)
            _random ^= _random >> 7;
            _random ^= _random << 17;
            ulong range = (ulong)(ram.LengthBytes - (2 * PageKernels.PageBytes) - sizeof(ulong) + 1);
            long offset = PageKernels.PageBytes + (long)(_random % range);
            BinaryPrimitives.WriteUInt64LittleEndian(ram.WritableBytes(offset, sizeof(ulong)), _random);
        }
    }
}
