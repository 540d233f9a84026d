using System.Runtime.CompilerServices;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Hypervisor.Cpu.Translation;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Runs instructions "as the host": a stub executes the very instruction on the guest's registers.</summary>
/// <remarks>
/// In the operation: Immediate is the stub, Extra the size of the memory operand, Destination the <see
/// cref="HostUnit"/>,
/// Source the <see cref="HostUse"/>.
/// </remarks>
internal static unsafe class HostInstructions
{
    /// <summary>Integer instructions and vector instructions that do not compute in floating point.</summary>
    internal static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
        => Lower(context, instruction, op, isFloat: false);

    /// <summary>Vector instructions that read the rounding mode or raise floating-point exceptions.</summary>
    internal static void LowerFloat(LoweringContext context, in Instruction instruction, Operation* op)
        => Lower(context, instruction, op, isFloat: true);

    /// <summary>Calls the stub of <paramref name="op"/>; flags go in and out if it uses them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Call(CpuState* state, Operation* op, byte* memory)
    {
        ulong flags = ((HostUse)op->Source & HostUse.Flags) != 0 ? ArithmeticFlags.Read(state) & Rflags.Arithmetic : 0;
        ((delegate* unmanaged<CpuState*, byte*, ulong, void>)(op->Immediate & StubMask))(state, memory, flags);
    }

    /// <summary>Bits of Operation.Immediate that hold the stub's address; x87 keeps its opcode above them.</summary>
    internal const ulong StubMask = (1ul << 48) - 1;

    /// <summary>
    /// Puts the stub of <paramref name="instruction"/> into <paramref name="op"/>. False: no room now.
    /// </summary>
    internal static bool TryAttachStub(
        LoweringContext context, in Instruction instruction, Operation* op, StubParts parts)
    {
        byte* stub = context.Vcpu.Stubs.Find(instruction, parts);
        op->Immediate = (ulong)stub;
        op->Extra = (byte)instruction.MemorySize.GetSize();
        if (stub == null)
        {
            op->Execute = &MakeRoom;
        }

        return stub != null;
    }

    private static void Lower(LoweringContext context, in Instruction instruction, Operation* op, bool isFloat)
    {
        Code code = instruction.Code;
        if (!HostFeatures.IsOffered(context.Vcpu, code))
        {
            return;
        }

        (HostUnit unit, StubParts parts) = Classify(instruction);
        if (isFloat)
        {
            parts |= StubParts.Mxcsr;
        }

        if (!TryAttachStub(context, instruction, op, parts))
        {
            return;
        }

        op->Destination = (byte)unit;
        op->Source = (byte)(((parts & StubParts.Flags) != 0 ? HostUse.Flags : 0)
            | (NeedsAlignment(instruction) ? HostUse.Aligned : 0));
        bool isStore = op->HasMemory && instruction.Op0Kind == OpKind.Memory;
        bool isShort = unit == HostUnit.Sse && !op->HasMemory && !isFloat;
        op->Execute = isShort ? &SseRegisters : Unmasked(op->HasMemory, isStore, isFloat);
    }

    /// <summary>The function of an instruction that accesses all of its memory operand, if it has one.</summary>
    internal static delegate*<Vcpu, Operation*, Outcome> Unmasked(bool hasMemory, bool isStore, bool isFloat)
        => (hasMemory, isStore, isFloat) switch
        {
            (false, _, false) => &Registers,
            (true, false, false) => &Load,
            (true, true, false) => &Store,
            (false, _, true) => &FloatRegisters,
            (true, false, true) => &FloatLoad,
            (true, true, true) => &FloatStore,
        };

    /// <summary>Unit and stub parts by operands and encoding.</summary>
    private static (HostUnit Unit, StubParts Parts) Classify(in Instruction instruction)
    {
        bool usesMmx = false;
        bool usesVectors = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Register)
            {
                usesMmx |= instruction.GetOpRegister(i).IsMM();
                usesVectors |= instruction.GetOpRegister(i).IsVectorRegister();
            }
        }

        StubParts parts = (usesMmx ? StubParts.Fpu : 0)
            | (((instruction.RflagsModified | instruction.RflagsRead) & ArithmeticBits) != 0 ? StubParts.Flags : 0);
        bool isVex = instruction.Code.Encoding() == EncodingKind.VEX;
        HostUnit unit = (usesMmx, usesVectors, isVex) switch
        {
            (true, true, _) => HostUnit.MmxSse,
            (true, false, _) => HostUnit.Mmx,
            (false, true, true) => HostUnit.Avx,
            (false, true, false) => HostUnit.Sse,
            (false, false, true) => HostUnit.IntegerVex,
            (false, false, false) => HostUnit.Integer,
        };
        return (unit, parts);
    }

    private const RflagsBits ArithmeticBits = RflagsBits.OF | RflagsBits.SF | RflagsBits.ZF | RflagsBits.AF
        | RflagsBits.CF | RflagsBits.PF;

    /// <summary>
    /// Legacy SSE wants whole vectors aligned, but for a few; VEX and EVEX only where the name says so.
    /// </summary>
    internal static bool NeedsAlignment(in Instruction instruction)
    {
        if (instruction.Code.Encoding() == EncodingKind.EVEX)
        {
            return EvexShape.NeedsAlignment(instruction.Mnemonic);
        }

        if (instruction.Code.Encoding() == EncodingKind.VEX)
        {
            return instruction.Mnemonic is Mnemonic.Vmovaps or Mnemonic.Vmovapd or Mnemonic.Vmovdqa
                or Mnemonic.Vmovntps or Mnemonic.Vmovntpd or Mnemonic.Vmovntdq or Mnemonic.Vmovntdqa;
        }

        return instruction.MemorySize.GetSize() == 16
            && instruction.Mnemonic is not (Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu
                or Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm
                or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64);
    }

    private static Outcome MakeRoom(Vcpu vcpu, Operation* op)
    {
        vcpu.Blocks.Clear();
        vcpu.Stubs.Clear();
        return Outcome.Restart;
    }

    private static Outcome SseRegisters(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Sse))
        {
            return Outcome.Fault;
        }

        Call(vcpu.State, op, null);
        return Outcome.Next;
    }

    private static Outcome Registers(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, (HostUnit)op->Destination))
        {
            return Outcome.Fault;
        }

        Call(vcpu.State, op, null);
        return Outcome.Next;
    }

    private static Outcome Load(Vcpu vcpu, Operation* op)
    {
        byte* memory = BeginAccess(vcpu, op, MemoryAccess.Read);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        Call(vcpu.State, op, memory);
        return Outcome.Next;
    }

    private static Outcome Store(Vcpu vcpu, Operation* op)
    {
        byte* memory = BeginAccess(vcpu, op, MemoryAccess.Write);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        Call(vcpu.State, op, memory);
        vcpu.Mmu.EndWrite(memory);
        return Outcome.Next;
    }

    private static Outcome FloatRegisters(Vcpu vcpu, Operation* op)
        => HostChecks.IsEnabled(vcpu, (HostUnit)op->Destination) ? Compute(vcpu, op, null) : Outcome.Fault;

    private static Outcome FloatLoad(Vcpu vcpu, Operation* op)
    {
        byte* memory = BeginAccess(vcpu, op, MemoryAccess.Read);
        return memory != null ? Compute(vcpu, op, memory) : Outcome.Fault;
    }

    private static Outcome FloatStore(Vcpu vcpu, Operation* op)
    {
        // Computed first, as hosts do: an unmasked exception comes before a page fault, and flags stay set after one.
        ulong* result = stackalloc ulong[8];
        if (!HostChecks.IsEnabled(vcpu, (HostUnit)op->Destination)
            || Compute(vcpu, op, (byte*)result) != Outcome.Next)
        {
            return Outcome.Fault;
        }

        byte* memory = BeginAccess(vcpu, op, MemoryAccess.Write);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        new System.ReadOnlySpan<byte>(result, op->Extra).CopyTo(new System.Span<byte>(memory, op->Extra));
        vcpu.Mmu.EndWrite(memory);
        return Outcome.Next;
    }

    /// <summary>Calls the stub of an instruction that reads MXCSR; an unmasked exception is raised.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Outcome Compute(Vcpu vcpu, Operation* op, byte* memory)
    {
        CpuState* state = vcpu.State;
        if (!SimdExceptions.AreAllMasked(state->Mxcsr))
        {
            return SimdExceptions.ComputeUnmasked(vcpu, op, memory);
        }

        Call(state, op, memory);
        return Outcome.Next;
    }

    // Checks, in the order of their priority: unit enabled, segment, alignment, paging.
    private static byte* BeginAccess(Vcpu vcpu, Operation* op, MemoryAccess access)
    {
        int size = op->Extra;
        if (!HostChecks.IsEnabled(vcpu, (HostUnit)op->Destination)
            || !vcpu.Mmu.TryAddress(op, size, access, out ulong linear))
        {
            return null;
        }

        if (((HostUse)op->Source & HostUse.Aligned) != 0 && (linear & (ulong)(size - 1)) != 0)
        {
            vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            return null;
        }

        return access == MemoryAccess.Read
            ? vcpu.Mmu.BeginReadLinear(linear, size, op->Segment)
            : vcpu.Mmu.BeginWriteLinear(linear, size, op->Segment, keep: ((HostUse)op->Source & HostUse.Keep) != 0);
    }
}
