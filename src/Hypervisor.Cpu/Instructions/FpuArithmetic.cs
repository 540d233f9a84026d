using System;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Hypervisor.Cpu.Translation;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>x87 instructions that compute or move: run as the host, with the guest's control word.</summary>
/// <remarks>
/// An x87 exception is raised by the next waiting instruction. A stub has none after the one it is for, so even
/// unmasked
/// exceptions cannot fault on the host: they end up in ES, which the guest's next waiting instruction finds.
/// Spec: SDM volume 1, 8.3 to 8.7.
/// </remarks>
internal static unsafe class FpuArithmetic
{
    private const int OpcodeShift = 48; // above the stub's address in Operation.Immediate
    private const ushort OpcodeMask = 0x7FF;

    private static ReadOnlySpan<Mnemonic> All =>
    [
        Mnemonic.F2xm1, Mnemonic.Fabs, Mnemonic.Fadd, Mnemonic.Faddp, Mnemonic.Fbld, Mnemonic.Fbstp, Mnemonic.Fchs,
        Mnemonic.Fcmovb, Mnemonic.Fcmovbe, Mnemonic.Fcmove, Mnemonic.Fcmovnb, Mnemonic.Fcmovnbe, Mnemonic.Fcmovne,
        Mnemonic.Fcmovnu, Mnemonic.Fcmovu, Mnemonic.Fcom, Mnemonic.Fcomi, Mnemonic.Fcomip, Mnemonic.Fcomp,
        Mnemonic.Fcompp, Mnemonic.Fcos, Mnemonic.Fdecstp, Mnemonic.Fdiv, Mnemonic.Fdivp, Mnemonic.Fdivr,
        Mnemonic.Fdivrp, Mnemonic.Ffree, Mnemonic.Ffreep, Mnemonic.Fiadd, Mnemonic.Ficom, Mnemonic.Ficomp,
        Mnemonic.Fidiv, Mnemonic.Fidivr, Mnemonic.Fild, Mnemonic.Fimul, Mnemonic.Fincstp, Mnemonic.Fist,
        Mnemonic.Fistp, Mnemonic.Fisttp, Mnemonic.Fisub, Mnemonic.Fisubr, Mnemonic.Fld, Mnemonic.Fld1,
        Mnemonic.Fldl2e, Mnemonic.Fldl2t, Mnemonic.Fldlg2, Mnemonic.Fldln2, Mnemonic.Fldpi, Mnemonic.Fldz,
        Mnemonic.Fmul, Mnemonic.Fmulp, Mnemonic.Fpatan, Mnemonic.Fprem, Mnemonic.Fprem1, Mnemonic.Fptan,
        Mnemonic.Frndint, Mnemonic.Fscale, Mnemonic.Fsin, Mnemonic.Fsincos, Mnemonic.Fsqrt, Mnemonic.Fst,
        Mnemonic.Fstp, Mnemonic.Fstpnce, Mnemonic.Fsub, Mnemonic.Fsubp, Mnemonic.Fsubr, Mnemonic.Fsubrp,
        Mnemonic.Ftst, Mnemonic.Fucom, Mnemonic.Fucomi, Mnemonic.Fucomip, Mnemonic.Fucomp, Mnemonic.Fucompp,
        Mnemonic.Fxam, Mnemonic.Fxch, Mnemonic.Fxtract, Mnemonic.Fyl2x, Mnemonic.Fyl2xp1,
    ];

    internal static void Define(TableBuilder table)
    {
        foreach (Mnemonic mnemonic in All)
        {
            table.Define(mnemonic, InstructionTraits.CopyToHost, &Lower);
        }
    }

    private static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (!HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            return;
        }

        bool usesFlags = instruction.Mnemonic
            is Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip
            || instruction.Code.CpuidFeatures().AsSpan().Contains(CpuidFeature.CMOV);
        StubParts parts = StubParts.Fpu | (usesFlags ? StubParts.Flags : 0);
        if (!HostInstructions.TryAttachStub(context, instruction, op, parts))
        {
            return;
        }

        OpCodeInfo opcode = instruction.Code.ToOpCode();
        op->Immediate |= (ulong)Opcode(opcode) << OpcodeShift;
        op->Source = (byte)(usesFlags ? HostUse.Flags : HostUse.None);
        op->Execute = !op->HasMemory ? &Registers : IsStore(instruction.Mnemonic) ? &Store : &Load;
    }

    // FOP: low three bits of the first byte, then ModRM. The register or the addressing form in it is not kept.
    private static ushort Opcode(OpCodeInfo opcode)
    {
        uint code = opcode.OpCode;
        uint first = code > 0xFF ? code >> 8 : code;
        uint modRm = code > 0xFF ? code & 0xFF : (uint)Math.Max(opcode.GroupIndex, 0) << 3;
        return (ushort)((((first & 7) << 8) | modRm) & OpcodeMask);
    }

    private static bool IsStore(Mnemonic mnemonic) => mnemonic is Mnemonic.Fst or Mnemonic.Fstp or Mnemonic.Fist
        or Mnemonic.Fistp or Mnemonic.Fisttp or Mnemonic.Fbstp;

    private static Outcome Registers(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsFpuEnabled(vcpu) || !HostChecks.IsFpuQuiet(vcpu))
        {
            return Outcome.Fault;
        }

        Run(vcpu, op, null, 0);
        return Outcome.Next;
    }

    private static Outcome Load(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsFpuEnabled(vcpu) || !HostChecks.IsFpuQuiet(vcpu))
        {
            return Outcome.Fault;
        }

        byte* memory = vcpu.Mmu.BeginRead(op, op->Extra);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        Run(vcpu, op, memory, vcpu.Mmu.EffectiveAddress(op));
        return Outcome.Next;
    }

    private static Outcome Store(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsFpuEnabled(vcpu) || !HostChecks.IsFpuQuiet(vcpu))
        {
            return Outcome.Fault;
        }

        // An unmasked exception keeps the host from storing: then the bytes that are there go back.
        byte* memory = vcpu.Mmu.BeginWrite(op, op->Extra, keep: true);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        Run(vcpu, op, memory, vcpu.Mmu.EffectiveAddress(op));
        vcpu.Mmu.EndWrite(memory);
        return Outcome.Next;
    }

    // FIP follows every instruction; FOP and FDP only those that raise, as CPUID.7.EBX[6] announces.
    private static void Run(Vcpu vcpu, Operation* op, byte* memory, ulong address)
    {
        CpuState* state = vcpu.State;
        ulong operandBefore = FpuImage.OperandPointer(state);
        ushort opcodeBefore = FpuImage.Opcode(state);
        HostInstructions.Call(state, op, memory);
        bool isRaised = (FpuImage.Status(state) & FpuImage.ErrorSummary) != 0;
        FpuImage.InstructionPointer(state) = state->Rip - op->Length;
        FpuImage.OperandPointer(state) = isRaised && memory != null ? address : operandBefore;
        FpuImage.Opcode(state) = isRaised ? (ushort)(op->Immediate >> OpcodeShift) : opcodeBefore;
    }
}
