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

/// <summary>A vCPU that runs random programs in 64-bit user mode, each until its first exception.</summary>
/// <remarks>
/// RAM: page tables at 1 0000, then GDT, IDT, TSS and handlers as below, the program's pages at 20 0000. The first
/// 2 MiB are mapped for the supervisor; handler n is a HLT, which makes Run return with the frame on the stack.
/// </remarks>
internal sealed unsafe class EmulatedProgramCpu : IDisposable
{
    private const long ImageRam = 0x20_0000;
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
    private const uint UserData = 0xF3 | (1 << 14) | (1 << 15); // DPL 3, read/write, accessed, 4 GiB
    private const uint UserCode64 = 0xFB | (1 << 13) | (1 << 15);
    private const uint BusyTss = 0x8B;
    private const ulong InstructionsMax = 4_000_000; // a program runs about 60 000, few run a million

    private static readonly TimeSpan s_lookEvery = TimeSpan.FromMilliseconds(300);

    private readonly GuestRam _ram = new(4L << 20);
    private readonly Vcpu _vcpu;
    private readonly CpuState* _state;
    private readonly CpuState _initial;
    private readonly Timer _timer;

    internal EmulatedProgramCpu(VcpuFactory factory)
    {
        _vcpu = factory(_ram, new NoBus(), new GuestTimers(new GuestClock(new SimClock())));
        _state = _vcpu.State;
        BuildPageTables();
        BuildSystemTables();
        EnterUserMode();
        ArithmeticFlags.Materialize(_state);
        _initial = *_state;

        // A program that does not end is left by this.
        _timer = new Timer(_ => _vcpu.RequestExit(), null, s_lookEvery, s_lookEvery);
    }

    /// <summary>What the instructions of the guest's CPU are.</summary>
    internal Vcpu Vcpu => _vcpu;

    /// <summary>The program's memory.</summary>
    internal ReadOnlySpan<byte> Image => new(_ram.Base + ImageRam, ImageBytes);

    /// <summary>Called when Run was left by a request, before the vCPU goes on.</summary>
    internal Action<Vcpu>? OnStopped { get; set; }

    /// <summary>Instructions of the last run.</summary>
    internal ulong InstructionCount { get; private set; }

    /// <summary>Runs from the state in <paramref name="before"/>; the end goes to <paramref name="after"/>.</summary>
    internal EmulatedResult Run(ReadOnlySpan<byte> image, byte* before, byte* after)
    {
        for (int at = 0; at < ImageBytes; at += PageBytes)
        {
            image.Slice(at, PageBytes).CopyTo(_ram.WritableBytes(ImageRam + at, PageBytes));
        }

        Load(before);
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

    private void Load(byte* part)
    {
        ulong events = _state->Events; // what the stores to RAM asked for
        *_state = _initial;
        _state->Events = events;
        StateRecord.Load(_state, part);
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
        int vector = (int)((_state->Rip - HandlerRam) / HandlerBytes);
        ulong* frame = (ulong*)(_ram.Base + _state->Gpr[4]);
        uint error = HasErrorCode(vector) ? (uint)*frame++ : 0;
        *(ulong*)(part + OracleLayout.Rip) = frame[0];
        *(ulong*)(part + OracleLayout.Flags) = frame[2];
        ((ulong*)part)[4] = frame[3];
        return new EmulatedResult(vector, error, vector == ExceptionVector.PageFault ? _state->Cr2 : 0);
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
        for (int i = 0; i < 6; i++)
        {
            _state->Segments[i] = new Segment
            {
                Limit = uint.MaxValue,
                Attributes = i == SegmentRegister.Cs ? UserCode64 : UserData,
                Selector = i == SegmentRegister.Cs ? (ushort)0x33 : (ushort)0x2B,
            };
        }

        _state->Segments[SegmentRegister.Fs].Base = OracleLayout.FsBase;
        _state->Segments[SegmentRegister.Gs].Base = OracleLayout.GsBase;
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
