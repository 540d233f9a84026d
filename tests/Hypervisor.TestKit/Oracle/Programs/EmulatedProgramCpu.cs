using System;
using System.Buffers.Binary;
using System.Threading;
using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Instructions;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.State;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>A vCPU that runs random programs in user mode, or in real mode, each until its first exception.</summary>
/// <remarks>
/// User mode is long mode: 64-bit, or compatibility mode. In real mode, addresses being physical, the program's pages
/// lie where it sees them.
/// RAM: page tables at 1 0000, then GDT, IDT, TSS and handlers as below, the program's pages at 20 0000. The first
/// 2 MiB are mapped for the supervisor; handler n is a HLT, which makes Run return with the frame on the stack.
/// </remarks>
internal sealed unsafe class EmulatedProgramCpu : IDisposable
{
    /// <summary>What the emulated CPU needs for itself is mapped below.</summary>
    internal const ulong TablesEnd = 0x20_0000;

    private const long ImageRam = (long)TablesEnd;
    private const ulong TableRam = 0x1_0000;
    private const ulong GdtRam = 0x8000;
    private const ulong IdtRam = 0x9000;
    private const ulong TssRam = 0xA000;
    private const ulong HandlerRam = 0xB000;
    private const ulong KernelStack = 0xD000;
    private const int HandlerBytes = 16;
    private const int Vectors = 32;
    private const ulong PresentUser = 0x25; // P, U, A
    private const ulong WritableDirty = 0x42; // W, D
    private const ulong LargeSupervisor = 0xE3; // P, W, A, D, PS
    private const ulong NoExecute = 1ul << 63;
    private const uint BusyTss = 0x8B;
    private const ulong InstructionsMax = 4_000_000; // a program runs about 60 000, few run a million

    private static readonly TimeSpan s_lookEvery = TimeSpan.FromMilliseconds(300);

    private const long RealRamBytes = 1L << 30;

    private readonly bool _isReal;
    private readonly GuestRam _ram;
    private readonly byte[] _image = new byte[ImageBytes];
    private readonly Vcpu _vcpu;
    private readonly CpuState* _state;
    private readonly CpuState _initial;
    private readonly Timer _timer;

    internal EmulatedProgramCpu(VcpuFactory factory, bool isReal = false)
    {
        _isReal = isReal;
        _ram = new GuestRam(isReal ? RealRamBytes : 4L << 20);
        _vcpu = factory(_ram, new NoBus(), new GuestTimers(new GuestClock(new SimClock())));
        _state = _vcpu.State;
        if (isReal)
        {
            EnterRealMode();
        }
        else
        {
            BuildPageTables();
            BuildSystemTables();
            EnterUserMode();
        }

        ArithmeticFlags.Materialize(_state);
        _initial = *_state;

        // A program that does not end is left by this.
        _timer = new Timer(_ => _vcpu.RequestExit(), null, s_lookEvery, s_lookEvery);
    }

    /// <summary>What the instructions of the guest's CPU are.</summary>
    internal Vcpu Vcpu => _vcpu;

    /// <summary>The program's memory.</summary>
    internal ReadOnlySpan<byte> Image
    {
        get
        {
            foreach (ProgramPage page in Pages)
            {
                new ReadOnlySpan<byte>(_ram.Base + Address(page), PageBytes)
                    .CopyTo(_image.AsSpan(page.Stored * PageBytes));
            }

            return _image;
        }
    }

    /// <summary>Called when Run was left by a request, before the vCPU goes on.</summary>
    internal Action<Vcpu>? OnStopped { get; set; }

    /// <summary>Instructions of the last run.</summary>
    internal ulong InstructionCount { get; private set; }

    /// <summary>Runs from the state in <paramref name="before"/>; the end goes to <paramref name="after"/>.</summary>
    internal EmulatedResult Run(ProgramMode mode, ReadOnlySpan<byte> image, byte* before, byte* after)
    {
        foreach (ProgramPage page in Pages)
        {
            image.Slice(page.Stored * PageBytes, PageBytes)
                .CopyTo(_ram.WritableBytes((long)Address(page), PageBytes));
        }

        Load(mode, before);
        ulong first = _vcpu.InstructionCount;
        VcpuExit exit;
        while ((exit = _vcpu.Run()) == VcpuExit.Requested)
        {
            if (_vcpu.InstructionCount - first > InstructionsMax)
            {
                Store(after);
                return new EmulatedResult(-2, 0, 0);
            }

            OnStopped?.Invoke(_vcpu);
        }

        InstructionCount = _vcpu.InstructionCount - first;
        Store(after);
        return exit == VcpuExit.Halted ? TakeFrame(after) : new EmulatedResult(-3, 0, 0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using (var stopped = new ManualResetEvent(false))
        {
            _timer.Dispose(stopped);
            stopped.WaitOne(); // no call of ours is under way any more
        }

        _timer.Dispose();
        _vcpu.Dispose();
        _ram.Dispose();
    }

    private static bool HasErrorCode(int vector) => vector is 8 or 10 or 11 or 12 or 13 or 14 or 17;

    // Where in RAM a page of the program is.
    private ulong Address(ProgramPage page)
        => _isReal ? page.Linear : (ulong)(ImageRam + (page.Stored * PageBytes));

    private void Load(ProgramMode mode, byte* part)
    {
        ulong events = _state->Events; // what the stores to RAM asked for
        *_state = _initial;
        _state->Events = events;
        StateRecord.Load(_state, part);
        for (int i = 0; i < 6; i++)
        {
            _state->Segments[i] = mode[i];
        }

        _state->Rip = *(ulong*)(part + OracleLayout.Rip);
        _state->Rflags = *(ulong*)(part + OracleLayout.Flags) | Rflags.Interrupt | Rflags.AlwaysOne;
        _vcpu.Segments.UpdateMode();
        _vcpu.Events.OnFlagsChanged();
    }

    private void Store(byte* part)
    {
        StateRecord.Store(_state, part);
        *(ulong*)(part + OracleLayout.Flags) = ArithmeticFlags.Read(_state);
        *(ulong*)(part + OracleLayout.Rip) = _state->Rip;
    }

    // In a handler, after its HLT: what was interrupted is on the stack.
    private EmulatedResult TakeFrame(byte* part)
    {
        if (_isReal)
        {
            return TakeRealFrame(part);
        }

        int vector = (int)((_state->Rip - HandlerRam) / HandlerBytes);
        ulong* frame = (ulong*)(_ram.Base + _state->Gpr[4]);
        uint error = HasErrorCode(vector) ? (uint)*frame++ : 0;
        *(ulong*)(part + OracleLayout.Rip) = frame[0];
        *(ulong*)(part + OracleLayout.Flags) = frame[2];
        ((ulong*)part)[4] = frame[3];
        return new EmulatedResult(vector, error, vector == ExceptionVector.PageFault ? _state->Cr2 : 0);
    }

    // IP, CS and FLAGS are on the stack.
    private EmulatedResult TakeRealFrame(byte* part)
    {
        byte* stack = _ram.Base + _state->Segments[SegmentRegister.Ss].Base;
        ulong pointer = _state->Gpr[4];
        ushort* flags = (ushort*)(stack + ((pointer + 4) & _state->StackMask));
        *(ulong*)(part + OracleLayout.Rip) = *(ushort*)(stack + (pointer & _state->StackMask));
        *(ulong*)(part + OracleLayout.Flags) = *flags;
        *flags = 0; // in memory too some of them may be undefined
        ((ulong*)part)[4] = pointer + 6;
        return new EmulatedResult((int)(_state->Rip / HandlerBytes), 0, 0);
    }

    private void EnterRealMode()
    {
        _state->Cr0 = Cr0.MonitorCoprocessor | Cr0.ExtensionType | Cr0.NumericError;
        _state->Cr4 = Cr4.FxsaveEnable | Cr4.SimdExceptions;
        _state->Idtr = new Segment { Base = 0, Limit = 0x3FF };
        _state->Segments[SegmentRegister.Cs] = new Segment { Limit = 0xFFFF, Attributes = 0x9B };
        _state->Activity = Activity.Active;
        for (ulong vector = 0; vector < 256; vector++)
        {
            _ram.TryWrite(HandlerRam + (vector * HandlerBytes), [0xF4]);
            uint pointer = (uint)((HandlerRam << 12) | (vector * HandlerBytes));
            byte[] bytes = new byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, pointer);
            _ram.TryWrite(vector * 4, bytes);
        }

        _vcpu.Segments.UpdateMode();
        _vcpu.Mmu.Tlb.FlushAll();
    }

    private void EnterUserMode()
    {
        _state->Cr0 = Cr0.ProtectionEnable | Cr0.MonitorCoprocessor | Cr0.ExtensionType | Cr0.NumericError
            | Cr0.WriteProtect | Cr0.AlignmentMask | Cr0.Paging;
        _state->Cr3 = TableRam;
        _state->Cr4 = Cr4.PhysicalAddressExtension | Cr4.FxsaveEnable | Cr4.SimdExceptions | Cr4.XsaveEnable
            | Cr4.FsGsBase;
        _state->Efer = Efer.SyscallEnable | Efer.LongModeEnable | Efer.LongModeActive | Efer.NoExecuteEnable;
        _state->Xcr0 = ExtendedState.Supported(_vcpu.Features);
        _state->Cpl = 3;
        _state->Segments[SegmentRegister.Tr] = new Segment
        {
            Base = TssRam,
            Limit = 0x67,
            Attributes = BusyTss,
            Selector = 0x38,
        };
        _state->Gdtr = new Segment { Base = GdtRam, Limit = 0x37 };
        _state->Idtr = new Segment { Base = IdtRam, Limit = (Vectors * 16) - 1 };
        _state->Activity = Activity.Active;
        _vcpu.Segments.UpdateMode();
        _vcpu.Mmu.Tlb.FlushAll();
    }

    private void BuildSystemTables()
    {
        Put(GdtRam + 0x08, 0x00AF_9B00_0000_FFFF); // 64-bit code, DPL 0
        Put(GdtRam + 0x10, 0x00CF_9300_0000_FFFF);
        Put(GdtRam + 0x28, 0x00CF_F300_0000_FFFF);
        Put(GdtRam + 0x30, 0x00AF_FB00_0000_FFFF);
        Put(TssRam + 4, KernelStack);
        Put(TssRam + 0x60, 0x68ul << 48); // no I/O permission bitmap: it would be after the limit
        for (int vector = 0; vector < Vectors; vector++)
        {
            ulong handler = HandlerRam + (ulong)(vector * HandlerBytes);
            ulong privilege = vector is 3 or 4 ? 0x60ul : 0; // INT3 and INTO are the user's
            Put(IdtRam + (ulong)(vector * 16), handler | (8ul << 16) | ((0x8E | privilege) << 40));
            Put(handler, 0xF4);
        }
    }

    // Four levels, and a last level for the code and for data and stack.
    private void BuildPageTables()
    {
        PutEntry(0, 0, (TableRam + 0x1000) | PresentUser | WritableDirty);
        PutEntry(1, 0, (TableRam + 0x2000) | PresentUser | WritableDirty);
        PutEntry(2, 0, LargeSupervisor);
        PutEntry(2, (int)(CodeAddress >> 21), (TableRam + 0x3000) | PresentUser | WritableDirty);
        PutEntry(2, (int)(DataAddress >> 21), (TableRam + 0x4000) | PresentUser | WritableDirty);
        foreach (ProgramPage page in Pages)
        {
            ulong entry = (ulong)(ImageRam + (page.Stored * PageBytes)) | PresentUser
                | (page.IsWritable ? WritableDirty : 0) | (page.IsExecutable ? 0 : NoExecute);
            PutEntry(page.Linear < DataAddress ? 3 : 4, (int)(page.Linear >> 12) & 511, entry);
        }
    }

    private void PutEntry(int table, int index, ulong entry)
        => Put(TableRam + (ulong)((table * PageBytes) + (index * 8)), entry);

    private void Put(ulong gpa, ulong value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        _ram.TryWrite(gpa, bytes);
    }
}
