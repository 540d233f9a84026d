using System;
using System.Buffers.Binary;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>FNSTENV, FLDENV, FNSAVE, FRSTOR: the x87 environment in its 16- and 32-bit layouts.</summary>
/// <remarks>
/// <code>
/// protected, words of 16 bits: FCW FSW FTW FIP FCS FDP FDS
/// protected, words of 32 bits: FCW FSW FTW FIP FOP:FCS FDP FDS
/// real, words of 16 bits: FCW FSW FTW FIP FIP19-16:0:FOP FDP FDP19-16:0
/// real, words of 32 bits: FCW FSW FTW FIP15-0 0:FIP31-16:0:FOP FDP15-0 0:FDP31-16:0
/// </code>
/// Then, for FNSAVE, eight registers of 10 bytes. FCS and FDS are 0, as CPUID.7.EBX[13] announces.
/// Spec: SDM volume 1, 8.1.10, figures 8-9 to 8-12.
/// </remarks>
internal static unsafe class FpuEnvironment
{
    private const int ShortBytes = 14;
    private const int LongBytes = 28;
    private const int RegisterBytes = 80;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Fnstenv, InstructionTraits.None, &LowerStore);
        table.Define(Mnemonic.Fldenv, InstructionTraits.None, &LowerLoad);
        table.Define(Mnemonic.Fnsave, InstructionTraits.None, &LowerSave);
        table.Define(Mnemonic.Frstor, InstructionTraits.None, &LowerRestore);
    }

    private static void LowerStore(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Code == Code.Fnstenv_m14byte ? (byte)ShortBytes : (byte)LongBytes;
        op->Execute = &Store;
    }

    private static void LowerLoad(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Code == Code.Fldenv_m14byte ? (byte)ShortBytes : (byte)LongBytes;
        op->Execute = &Load;
    }

    private static void LowerSave(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Code == Code.Fnsave_m94byte ? (byte)ShortBytes : (byte)LongBytes;
        op->Execute = &Save;
    }

    private static void LowerRestore(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Code == Code.Frstor_m94byte ? (byte)ShortBytes : (byte)LongBytes;
        op->Execute = &Restore;
    }

    private static Outcome Store(Vcpu vcpu, Operation* op)
    {
        Span<byte> bytes = stackalloc byte[LongBytes];
        bytes = bytes[..op->Extra];
        if (!HostChecks.IsFpuEnabled(vcpu))
        {
            return Outcome.Fault;
        }

        Pack(vcpu.State, bytes);
        if (!MemoryArea.TryWrite(vcpu, op, bytes))
        {
            return Outcome.Fault;
        }

        FpuImage.Control(vcpu.State) |= 0x3F; // so that a handler is not interrupted by what it handles
        FpuImage.UpdateSummary(vcpu.State);
        return Outcome.Next;
    }

    private static Outcome Load(Vcpu vcpu, Operation* op)
    {
        Span<byte> bytes = stackalloc byte[LongBytes];
        bytes = bytes[..op->Extra];
        if (!HostChecks.IsFpuEnabled(vcpu)
            || !HostChecks.IsFpuQuiet(vcpu)
            || !MemoryArea.TryRead(vcpu, op, bytes))
        {
            return Outcome.Fault;
        }

        Unpack(vcpu.State, bytes);
        return Outcome.Next;
    }

    private static Outcome Save(Vcpu vcpu, Operation* op)
    {
        Span<byte> bytes = stackalloc byte[LongBytes + RegisterBytes];
        bytes = bytes[..(op->Extra + RegisterBytes)];
        if (!HostChecks.IsFpuEnabled(vcpu))
        {
            return Outcome.Fault;
        }

        Pack(vcpu.State, bytes[..op->Extra]);
        for (int i = 0; i < 8; i++)
        {
            new ReadOnlySpan<byte>(FpuImage.Register(vcpu.State, i), 10).CopyTo(bytes[(op->Extra + (10 * i))..]);
        }

        if (!MemoryArea.TryWrite(vcpu, op, bytes))
        {
            return Outcome.Fault;
        }

        FpuImage.Initialize(vcpu.State);
        return Outcome.Next;
    }

    private static Outcome Restore(Vcpu vcpu, Operation* op)
    {
        Span<byte> bytes = stackalloc byte[LongBytes + RegisterBytes];
        bytes = bytes[..(op->Extra + RegisterBytes)];
        if (!HostChecks.IsFpuEnabled(vcpu)
            || !HostChecks.IsFpuQuiet(vcpu)
            || !MemoryArea.TryRead(vcpu, op, bytes))
        {
            return Outcome.Fault;
        }

        Unpack(vcpu.State, bytes[..op->Extra]);
        for (int i = 0; i < 8; i++)
        {
            bytes.Slice(op->Extra + (10 * i), 10).CopyTo(new Span<byte>(FpuImage.Register(vcpu.State, i), 10));
        }

        return Outcome.Next;
    }

    private static bool IsRealLayout(CpuState* state)
        => (state->Cr0 & Cr0.ProtectionEnable) == 0 || (state->Rflags & Rflags.Virtual8086) != 0;

    private static void Pack(CpuState* state, Span<byte> bytes)
    {
        uint instruction = (uint)FpuImage.InstructionPointer(state);
        uint operand = (uint)FpuImage.OperandPointer(state);
        uint opcode = (uint)FpuImage.Opcode(state) & 0x7FF;
        bool isReal = IsRealLayout(state);
        if (bytes.Length == ShortBytes)
        {
            Put16(bytes, 0, FpuImage.Control(state));
            Put16(bytes, 2, FpuImage.Status(state));
            Put16(bytes, 4, FpuImage.FullTags(state));
            Put16(bytes, 6, instruction);
            Put16(bytes, 8, isReal ? ((instruction >> 4) & 0xF000) | opcode : 0);
            Put16(bytes, 10, operand);
            Put16(bytes, 12, isReal ? (operand >> 4) & 0xF000 : 0);
            return;
        }

        // Reserved upper halves read as ones.
        const uint Reserved = 0xFFFF_0000;
        Put32(bytes, 0, Reserved | FpuImage.Control(state));
        Put32(bytes, 4, Reserved | FpuImage.Status(state));
        Put32(bytes, 8, Reserved | FpuImage.FullTags(state));
        Put32(bytes, 12, isReal ? Reserved | (instruction & 0xFFFF) : instruction);
        Put32(bytes, 16, isReal ? ((instruction >> 4) & 0x0FFF_F000) | opcode : opcode << 16);
        Put32(bytes, 20, isReal ? Reserved | (operand & 0xFFFF) : operand);
        Put32(bytes, 24, isReal ? (operand >> 4) & 0x0FFF_F000 : Reserved);
    }

    private static void Unpack(CpuState* state, ReadOnlySpan<byte> bytes)
    {
        int step = bytes.Length == ShortBytes ? 2 : 4;
        bool isReal = IsRealLayout(state);
        ushort control = BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        ushort status = BinaryPrimitives.ReadUInt16LittleEndian(bytes[step..]);
        ushort tags = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * step)..]);
        FpuImage.TurnTo(state, (status >> 11) & 7);
        FpuImage.Control(state) = FpuImage.Canonical(control);
        FpuImage.Status(state) = status;
        FpuImage.SetFullTags(state, tags);
        FpuImage.UpdateSummary(state);

        uint instruction = Get(bytes, 3, step);
        uint middle = Get(bytes, 4, step);
        uint operand = Get(bytes, 5, step);
        uint last = Get(bytes, 6, step);
        if (isReal)
        {
            uint upper = step == 2 ? 0xF000u : 0x0FFF_F000;
            FpuImage.InstructionPointer(state) = (instruction & 0xFFFF) | ((middle & upper) << 4);
            FpuImage.OperandPointer(state) = (operand & 0xFFFF) | ((last & upper) << 4);
            FpuImage.Opcode(state) = (ushort)(middle & 0x7FF);
        }
        else
        {
            FpuImage.InstructionPointer(state) = instruction;
            FpuImage.OperandPointer(state) = operand;
            FpuImage.Opcode(state) = step == 4 ? (ushort)((middle >> 16) & 0x7FF) : (ushort)0;
        }
    }

    private static uint Get(ReadOnlySpan<byte> bytes, int index, int step)
        => step == 2
            ? BinaryPrimitives.ReadUInt16LittleEndian(bytes[(index * 2)..])
            : BinaryPrimitives.ReadUInt32LittleEndian(bytes[(index * 4)..]);

    private static void Put16(Span<byte> bytes, int at, uint value)
        => BinaryPrimitives.WriteUInt16LittleEndian(bytes[at..], (ushort)value);

    private static void Put32(Span<byte> bytes, int at, uint value)
        => BinaryPrimitives.WriteUInt32LittleEndian(bytes[at..], value);
}
