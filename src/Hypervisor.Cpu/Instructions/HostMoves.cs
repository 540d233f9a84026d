using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>The vector moves that copy loops are made of, without a stub.</summary>
/// <remarks>
/// In the operation: Extra and Destination are vector register numbers (or Destination a general register's slot),
/// OperandBytes the mask of address bits that must be 0. Spec: SDM volume 2 each.
/// </remarks>
internal static unsafe class HostMoves
{
    private static ReadOnlySpan<Mnemonic> Whole =>
    [
        Mnemonic.Movaps, Mnemonic.Movapd, Mnemonic.Movdqa, Mnemonic.Movups, Mnemonic.Movupd, Mnemonic.Movdqu,
        Mnemonic.Lddqu, Mnemonic.Movntps, Mnemonic.Movntpd, Mnemonic.Movntdq, Mnemonic.Movntdqa,
        Mnemonic.Vmovaps, Mnemonic.Vmovapd, Mnemonic.Vmovdqa, Mnemonic.Vmovups, Mnemonic.Vmovupd, Mnemonic.Vmovdqu,
        Mnemonic.Vlddqu, Mnemonic.Vmovntps, Mnemonic.Vmovntpd, Mnemonic.Vmovntdq, Mnemonic.Vmovntdqa,
    ];

    // MOVSD shares its mnemonic with the string instruction, whose row sends it here.
    private static ReadOnlySpan<Mnemonic> Low =>
        [Mnemonic.Movd, Mnemonic.Movq, Mnemonic.Movss, Mnemonic.Vmovd, Mnemonic.Vmovq];

    private static ReadOnlySpan<Mnemonic> Xor =>
        [Mnemonic.Pxor, Mnemonic.Xorps, Mnemonic.Xorpd, Mnemonic.Vpxor, Mnemonic.Vxorps, Mnemonic.Vxorpd];

    internal static void Define(TableBuilder table)
    {
        foreach (Mnemonic mnemonic in Whole)
        {
            table.Define(mnemonic, InstructionTraits.CopyToHost, &LowerWhole);
        }

        foreach (Mnemonic mnemonic in Low)
        {
            table.Define(mnemonic, InstructionTraits.CopyToHost, &LowerLow);
        }

        foreach (Mnemonic mnemonic in Xor)
        {
            table.Define(mnemonic, InstructionTraits.CopyToHost, &LowerXor);
        }
    }

    // XMM or YMM whole, between registers or with memory.
    private static void LowerWhole(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (!HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            return;
        }

        bool isVex = instruction.Code.Encoding() == EncodingKind.VEX;
        bool isStore = instruction.Op0Kind == OpKind.Memory;
        Register register = isStore ? instruction.Op1Register : instruction.Op0Register;
        bool is256 = register.IsYMM();
        op->Extra = (byte)register.GetNumber();
        op->OperandBytes = HostInstructions.NeedsAlignment(instruction) ? (byte)(is256 ? 31 : 15) : (byte)0;
        if (!op->HasMemory)
        {
            op->Destination = (byte)instruction.Op1Register.GetNumber();
            op->Execute = is256 ? &Move256 : isVex ? &Move128Vex : &Move128;
        }
        else if (isStore)
        {
            op->Execute = is256 ? &Store256 : isVex ? &Store128Vex : &Store128;
        }
        else
        {
            op->Execute = is256 ? &Load256 : isVex ? &Load128Vex : &Load128;
        }
    }

    /// <summary>The low 32 or 64 bits, with memory or a general register; what is left goes to a stub.</summary>
    internal static void LowerLow(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Execute = instruction.Code switch
        {
            Code.Movd_xmm_rm32 when !op->HasMemory => &FromGeneral<uint>,
            Code.Movq_xmm_rm64 when !op->HasMemory => &FromGeneral<ulong>,
            Code.Movd_rm32_xmm when !op->HasMemory => &ToGeneral<uint>,
            Code.Movq_rm64_xmm when !op->HasMemory => &ToGeneral<ulong>,
            Code.Movd_xmm_rm32 => &LoadLow<uint>,
            Code.Movq_xmm_rm64 => &LoadLow<ulong>,
            Code.Movd_rm32_xmm => &StoreLow<uint>,
            Code.Movq_rm64_xmm => &StoreLow<ulong>,
            Code.Movq_xmm_xmmm64 or Code.Movsd_xmm_xmmm64 when op->HasMemory => &LoadLow<ulong>,
            Code.Movq_xmmm64_xmm or Code.Movsd_xmmm64_xmm when op->HasMemory => &StoreLow<ulong>,
            Code.Movss_xmm_xmmm32 when op->HasMemory => &LoadLow<uint>,
            Code.Movss_xmmm32_xmm when op->HasMemory => &StoreLow<uint>,
            _ => null,
        };
        if (op->Execute == null || !HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            op->Execute = null;
            HostInstructions.Lower(context, instruction, op);
            return;
        }

        Register register = instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsXMM()
            ? instruction.Op0Register
            : instruction.Op1Register;
        op->Extra = (byte)register.GetNumber();
    }

    // A register with itself: the way to write zero.
    private static void LowerXor(LoweringContext context, in Instruction instruction, Operation* op)
    {
        int last = instruction.OpCount - 1;
        Register register = instruction.Op0Register;
        bool isSelf = !op->HasMemory && !register.IsMM()
            && instruction.GetOpRegister(last) == instruction.GetOpRegister(last - 1);
        if (!isSelf || !HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            HostInstructions.Lower(context, instruction, op);
            return;
        }

        op->Extra = (byte)register.GetNumber();
        op->Execute = instruction.Code.Encoding() == EncodingKind.VEX ? &ZeroVex : &Zero;
    }

    private static Outcome Load128(Vcpu vcpu, Operation* op) => Load<Vector128<byte>>(vcpu, op, HostUnit.Sse);

    private static Outcome Load128Vex(Vcpu vcpu, Operation* op) => Load<Vector128<byte>>(vcpu, op, HostUnit.Avx);

    private static Outcome Load256(Vcpu vcpu, Operation* op) => Load<Vector256<byte>>(vcpu, op, HostUnit.Avx);

    private static Outcome Store128(Vcpu vcpu, Operation* op) => Store<Vector128<byte>>(vcpu, op, HostUnit.Sse);

    private static Outcome Store128Vex(Vcpu vcpu, Operation* op) => Store<Vector128<byte>>(vcpu, op, HostUnit.Avx);

    private static Outcome Store256(Vcpu vcpu, Operation* op) => Store<Vector256<byte>>(vcpu, op, HostUnit.Avx);

    private static Outcome Move128(Vcpu vcpu, Operation* op) => Move<Vector128<byte>>(vcpu, op, HostUnit.Sse);

    private static Outcome Move128Vex(Vcpu vcpu, Operation* op) => Move<Vector128<byte>>(vcpu, op, HostUnit.Avx);

    private static Outcome Move256(Vcpu vcpu, Operation* op) => Move<Vector256<byte>>(vcpu, op, HostUnit.Avx);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Outcome Load<T>(Vcpu vcpu, Operation* op, HostUnit unit)
        where T : unmanaged
    {
        if (!HostChecks.IsEnabled(vcpu, unit)
            || !vcpu.Mmu.TryAddress(op, sizeof(T), MemoryAccess.Read, out ulong linear))
        {
            return Outcome.Fault;
        }

        if ((linear & op->OperandBytes) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        if (!vcpu.Mmu.TryReadLinear(linear, op->Segment, out T value))
        {
            return Outcome.Fault;
        }

        SetVector(vcpu.State, op->Extra, value, unit);
        return Outcome.Next;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Outcome Store<T>(Vcpu vcpu, Operation* op, HostUnit unit)
        where T : unmanaged
    {
        if (!HostChecks.IsEnabled(vcpu, unit)
            || !vcpu.Mmu.TryAddress(op, sizeof(T), MemoryAccess.Write, out ulong linear))
        {
            return Outcome.Fault;
        }

        if ((linear & op->OperandBytes) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        return vcpu.Mmu.TryWriteLinear(linear, op->Segment, *(T*)Vector(vcpu.State, op->Extra))
            ? Outcome.Next
            : Outcome.Fault;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Outcome Move<T>(Vcpu vcpu, Operation* op, HostUnit unit)
        where T : unmanaged
    {
        if (!HostChecks.IsEnabled(vcpu, unit))
        {
            return Outcome.Fault;
        }

        SetVector(vcpu.State, op->Extra, *(T*)Vector(vcpu.State, op->Destination), unit);
        return Outcome.Next;
    }

    private static Outcome LoadLow<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Sse) || !vcpu.Mmu.TryRead(op, out T value))
        {
            return Outcome.Fault;
        }

        SetLow(vcpu.State, op->Extra, value);
        return Outcome.Next;
    }

    private static Outcome StoreLow<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
        => HostChecks.IsEnabled(vcpu, HostUnit.Sse) && vcpu.Mmu.TryWrite(op, *(T*)Vector(vcpu.State, op->Extra))
            ? Outcome.Next
            : Outcome.Fault;

    private static Outcome FromGeneral<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Sse))
        {
            return Outcome.Fault;
        }

        SetLow(vcpu.State, op->Extra, *(T*)((byte*)vcpu.State + op->Destination));
        return Outcome.Next;
    }

    private static Outcome ToGeneral<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Sse))
        {
            return Outcome.Fault;
        }

        ulong* register = (ulong*)((byte*)vcpu.State + op->Destination);
        *register = 0;
        *(T*)register = *(T*)Vector(vcpu.State, op->Extra);
        return Outcome.Next;
    }

    private static Outcome Zero(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Sse))
        {
            return Outcome.Fault;
        }

        SetVector(vcpu.State, op->Extra, Vector128<byte>.Zero, HostUnit.Sse);
        return Outcome.Next;
    }

    private static Outcome ZeroVex(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Avx))
        {
            return Outcome.Fault;
        }

        SetVector(vcpu.State, op->Extra, Vector256<byte>.Zero, HostUnit.Avx);
        return Outcome.Next;
    }

    private static byte* Vector(CpuState* state, int register) => state->Vectors + (64 * register);

    // Legacy encodings keep the register above what they write, VEX clears it.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetVector<T>(CpuState* state, int register, T value, HostUnit unit)
        where T : unmanaged
    {
        byte* target = Vector(state, register);
        *(T*)target = value;
        if (unit == HostUnit.Avx)
        {
            if (sizeof(T) == 16)
            {
                *(Vector128<byte>*)(target + 16) = Vector128<byte>.Zero;
            }

            *(Vector256<byte>*)(target + 32) = Vector256<byte>.Zero;
        }
    }

    private static void SetLow<T>(CpuState* state, int register, T value)
        where T : unmanaged
    {
        Vector128<byte> whole = Vector128<byte>.Zero;
        *(T*)&whole = value;
        *(Vector128<byte>*)Vector(state, register) = whole;
    }
}
