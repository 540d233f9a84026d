using System;
using System.Buffers.Binary;
using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Instructions;
using Hypervisor.Cpu.State;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle;

/// <summary>Our interpreter in 64-bit user mode, with the same memory map as the native program's sandbox.</summary>
internal sealed unsafe class EmulatedCpu : IDisposable
{
    private const int RestartsMax = 100_000;
    private const long CodeRam = 0x10_0000;
    private const long SandboxRam = 0x20_0000;
    private const ulong TableRam = 0x1_0000;
    private const ulong PresentUser = 0x25; // P, U, A
    private const ulong WritableDirty = 0x42; // W, D
    private const ulong NoExecute = 1ul << 63;
    private const uint UserData = 0xF3 | (1 << 14) | (1 << 15); // DPL 3, read/write, accessed, 4 GiB
    private const uint UserCode64 = 0xFB | (1 << 13) | (1 << 15);

    private readonly GuestRam _ram = new(4L << 20);
    private readonly Vcpu _vcpu;
    private readonly CpuState* _state;

    internal EmulatedCpu()
    {
        _vcpu = new Vcpu(
            0, _ram, new NoBus(), new GuestTimers(new GuestClock(new SimClock())),
            VcpuConfig.Alone(CpuModel.Largest));
        _state = _vcpu.State;
        BuildPageTables();
        _state->Cr0 = Cr0.ProtectionEnable | Cr0.MonitorCoprocessor | Cr0.ExtensionType | Cr0.NumericError
            | Cr0.WriteProtect | Cr0.AlignmentMask | Cr0.Paging;
        _state->Cr3 = TableRam;
        _state->Cr4 = Cr4.PhysicalAddressExtension | Cr4.FxsaveEnable | Cr4.SimdExceptions | Cr4.XsaveEnable
            | Cr4.FsGsBase;
        _state->Efer = Efer.SyscallEnable | Efer.LongModeEnable | Efer.LongModeActive | Efer.NoExecuteEnable;
        _state->Xcr0 = ExtendedState.Supported(_vcpu.Features);
        _state->Cpl = 3;
        _state->CodeMode = 2;
        _state->LongMode = 1;
        _state->StackMask = ulong.MaxValue;
        for (int i = 0; i < 6; i++)
        {
            _state->Segments[i] = new Segment
            {
                Limit = uint.MaxValue,
                Attributes = i == SegmentRegister.Cs ? UserCode64 : UserData,
                Selector = i == SegmentRegister.Cs ? (ushort)0x33 : (ushort)0x2B,
            };
        }

        _state->Segments[SegmentRegister.Fs].Base = FsBase;
        _state->Segments[SegmentRegister.Gs].Base = GsBase;
    }

    /// <summary>What the instructions of the guest's CPU are.</summary>
    internal Vcpu Vcpu => _vcpu;

    /// <summary>The four pages behind the sandbox.</summary>
    internal Span<byte> Sandbox => _ram.WritableBytes(SandboxRam, StoredPages * PageBytes);

    /// <summary>Runs the case in <paramref name="record"/>, whose code is <paramref name="slot"/>.</summary>
    internal EmulatedResult Run(byte* record, int index, ReadOnlySpan<byte> slot)
    {
        long codeAt = CodeRam + (index * SlotBytes);
        slot.CopyTo(_ram.WritableBytes(codeAt, SlotBytes));
        Load(record);
        ulong start = CodeAddress + (ulong)(index * SlotBytes);
        for (int i = 0; i < RestartsMax; i++)
        {
            _state->Rip = start;
            Block* block = _vcpu.Blocks.Single(_ram.Base + codeAt, 2);
            Operation* op = block->Operations;
            _state->Rip = start + op->Length;
            Outcome outcome = op->Execute(_vcpu, op);
            if (outcome == Outcome.Fault)
            {
                _state->Rip = start;
                ulong address = _state->FaultVector == ExceptionVector.PageFault ? _state->Cr2 : 0;
                return new EmulatedResult((int)_state->FaultVector, _state->FaultErrorCode, address);
            }

            if (outcome != Outcome.Restart)
            {
                return new EmulatedResult(-1, 0, 0);
            }
        }

        return new EmulatedResult(-2, 0, 0);
    }

    /// <summary>The state after a run, in the layout of a record's part.</summary>
    internal void Store(byte* part)
    {
        for (int i = 0; i < 16; i++)
        {
            ((ulong*)part)[i] = _state->Gpr[i];
        }

        *(ulong*)(part + Flags) = ArithmeticFlags.Read(_state);
        *(ulong*)(part + Rip) = _state->Rip;
        byte* area = part + Extended;
        new ReadOnlySpan<byte>(_state->Fpu, 160).CopyTo(new Span<byte>(area, 160));
        *(uint*)(area + 24) = _state->Mxcsr;
        for (int i = 0; i < 16; i++)
        {
            byte* vector = _state->Vectors + (64 * i);
            new ReadOnlySpan<byte>(vector, 16).CopyTo(new Span<byte>(area + 160 + (16 * i), 16));
            new ReadOnlySpan<byte>(vector + 16, 16).CopyTo(new Span<byte>(area + 576 + (16 * i), 16));
        }

        WideRegisters.Store(_state, part);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _vcpu.Dispose();
        _ram.Dispose();
    }

    private void Load(byte* part)
    {
        for (int i = 0; i < 16; i++)
        {
            _state->Gpr[i] = ((ulong*)part)[i];
        }

        ArithmeticFlags.Materialize(_state);
        _state->Rflags = *(ulong*)(part + Flags) | Rflags.Interrupt | Rflags.AlwaysOne;
        _state->Events = 0; // else repeated instructions stop after each element, and flags are as after an interrupt
        _vcpu.Mmu.UpdateMode();
        byte* area = part + Extended;
        new ReadOnlySpan<byte>(area, 160).CopyTo(new Span<byte>(_state->Fpu, 160));
        _state->Mxcsr = *(uint*)(area + 24);
        for (int i = 0; i < 16; i++)
        {
            byte* vector = _state->Vectors + (64 * i);
            new ReadOnlySpan<byte>(area + 160 + (16 * i), 16).CopyTo(new Span<byte>(vector, 16));
            new ReadOnlySpan<byte>(area + 576 + (16 * i), 16).CopyTo(new Span<byte>(vector + 16, 16));
            new Span<byte>(vector + 32, 32).Clear();
        }

        WideRegisters.Load(_state, part);
    }

    // Four levels, one table each, and a last level for the code and the sandbox.
    private void BuildPageTables()
    {
        SetEntry(0, 0, (TableRam + 0x1000) | PresentUser | WritableDirty);
        SetEntry(1, 0, (TableRam + 0x2000) | PresentUser | WritableDirty);
        SetEntry(2, (int)(CodeAddress >> 21), (TableRam + 0x3000) | PresentUser | WritableDirty);
        SetEntry(2, (int)(SandboxAddress >> 21), (TableRam + 0x4000) | PresentUser | WritableDirty);
        for (int page = 0; page < BatchCases * SlotBytes / PageBytes; page++)
        {
            SetEntry(3, page, (ulong)(CodeRam + (page * PageBytes)) | PresentUser);
        }

        for (int page = 0; page < SandboxPages; page++)
        {
            if (StoredPage(page) >= 0)
            {
                ulong entry = (ulong)(SandboxRam + (StoredPage(page) * PageBytes)) | PresentUser | NoExecute;
                SetEntry(4, page, entry | (IsWritable(page) ? WritableDirty : 0));
            }
        }
    }

    private void SetEntry(int table, int index, ulong entry)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, entry);
        _ram.TryWrite(TableRam + (ulong)((table * PageBytes) + (index * 8)), bytes);
    }
}
