using System;
using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle;

/// <summary>Where an AMD host does other than Intel's manual, which the interpreter follows on every host.</summary>
/// <remarks>
/// On an Intel host nothing here applies and all is compared. On an AMD host (Zen 4 was looked at), and only then:
/// <code>
/// FXSAVE, XSAVE*           FOP, FIP, FDP are 0 unless an x87 exception is pending: cases start with 0 then
/// FXSAVE, XSAVE*           MXCSR_MASK has bit 17, misaligned SSE, which the guest's CPU does not have
/// LDMXCSR, FXRSTOR         take that bit, without #GP
/// PAUSE with REX.B         is XCHG R8, RAX
/// LOOPE, LOOPNE            a REP or REPNE prefix, which the manuals reserve, says which of the two it is
/// SHA                      the operand in memory need not be aligned
/// 16 bytes, unaligned      #AC if enabled, where the SDM (volume 2, MOVUPS) lets a processor have it or not
/// MOVSXD r16, m16          reads 4 bytes
/// VCVTPS2PH to memory      a page fault comes before MXCSR's flags and its exception, not after
/// REPcc CMPS, SCAS         after a fault flags are of the last comparison, not of before the instruction
/// REPE CMPS                the source is read before the destination: it decides which of two page faults comes
/// gathers                  after a fault only sign bits of mask elements count, the other bits stay as they were
/// </code>
/// </remarks>
internal static unsafe class VendorDifferences
{
    private const int AmdSignature = 0x6874_7541; // "Auth", EBX of CPUID leaf 0
    private const uint MisalignedMask = 1 << 17;
    private const uint ExceptionFlags = 0x3F;
    private const ulong ArithmeticFlags = 0x8D5;
    private const ushort ErrorSummary = 0x80;
    private const int GeneralProtection = 13;
    private const int PageFault = 14;
    private const int AlignmentCheck = 17;
    private const int SimdException = 19;

    private static readonly bool s_isAmd = X86Base.IsSupported && X86Base.CpuId(0, 0).Ebx == AmdSignature;

    /// <summary>Whether the bytes are another instruction to this host: nothing to compare.</summary>
    internal static bool IsOtherInstruction(in Instruction instruction, ReadOnlySpan<byte> bytes)
    {
        const int RexMask = 0xF1;
        const int RexB = 0x41;
        return s_isAmd && instruction.Mnemonic switch
        {
            Mnemonic.Pause => (bytes[instruction.Length - 2] & RexMask) == RexB,
            Mnemonic.Loope or Mnemonic.Loopne => bytes[..(instruction.Length - 2)].ContainsAny((byte)0xF2, (byte)0xF3),
            _ => false,
        };
    }

    /// <summary>Takes out of an x87 state what this host's FXSAVE and XSAVE would not store.</summary>
    /// <param name="area">In the FXSAVE layout.</param>
    /// <param name="instruction">What is going to run.</param>
    internal static void DropPointers(byte* area, in Instruction instruction)
    {
        bool isPending = (*(ushort*)(area + 2) & ErrorSummary) != 0;
        if (s_isAmd && !isPending && (IsFxsave(instruction) || IsXsavec(instruction) || IsXsave(instruction)))
        {
            *(ushort*)(area + 6) = 0;
            *(ulong*)(area + 8) = 0;
            *(ulong*)(area + 16) = 0;
        }
    }

    /// <summary>After a case that completed: MXCSR_MASK, if the interpreter stored one, becomes the host's.</summary>
    internal static void AdoptMxcsrMask(byte* record, in Instruction instruction, Span<byte> sandbox)
    {
        const int MaskAt = 28;
        const int HeaderAt = 512;
        const int Sse = 2;
        const ulong SseOrAvx = 6;
        bool isFxsave = IsFxsave(instruction);
        bool isCompacted = IsXsavec(instruction);
        bool isStandard = IsXsave(instruction);
        if (!s_isAmd || !(isFxsave || isCompacted || isStandard))
        {
            return;
        }

        ulong address = instruction.GetVirtualAddress(0, 0, (register, _, _) => Value(record, register));
        if (isFxsave
            || (isStandard && (*(ulong*)record & SseOrAvx) != 0)
            || (isCompacted && (sandbox[StoredOffset(address + HeaderAt)] & Sse) != 0))
        {
            Span<byte> mask = sandbox.Slice(StoredOffset(address + MaskAt), sizeof(uint));
            BinaryPrimitives.WriteUInt32LittleEndian(
                mask, BinaryPrimitives.ReadUInt32LittleEndian(mask) | MisalignedMask);
        }
    }

    /// <summary>Whether host and interpreter may end in these two ways, which are not the same.</summary>
    /// <param name="trap">The host's exception, -1 for none.</param>
    /// <param name="vector">The interpreter's.</param>
    /// <param name="hostMxcsr">After the case.</param>
    /// <param name="instruction">What ran.</param>
    internal static bool MayEndDifferently(int trap, int vector, uint hostMxcsr, in Instruction instruction)
    {
        return s_isAmd && (instruction.Mnemonic switch
        {
            Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr or Mnemonic.Fxrstor or Mnemonic.Fxrstor64
                => trap < 0 && vector == GeneralProtection && (hostMxcsr & MisalignedMask) != 0,
            Mnemonic.Sha1msg1 or Mnemonic.Sha1msg2 or Mnemonic.Sha1nexte or Mnemonic.Sha1rnds4
                or Mnemonic.Sha256msg1 or Mnemonic.Sha256msg2 or Mnemonic.Sha256rnds2
                => vector == GeneralProtection && trap is < 0 or PageFault or AlignmentCheck,
            Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu
                or Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm
                or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64
                => vector < 0 && trap == AlignmentCheck,
            Mnemonic.Movsxd => instruction.Code == Code.Movsxd_r16_rm16
                && vector < 0 && trap is PageFault or AlignmentCheck,
            Mnemonic.Vcvtps2ph => vector == SimdException && trap == PageFault,
            _ => false,
        });
    }

    /// <summary>Whether both operands are bad and the two sides found another one first.</summary>
    /// <param name="native">The host's state after the fault.</param>
    /// <param name="host">Its CR2.</param>
    /// <param name="ours">The interpreter's.</param>
    /// <param name="instruction">What ran.</param>
    internal static bool IsOtherOperand(byte* native, ulong host, ulong ours, in Instruction instruction)
    {
        bool isCompare = instruction.Code
            is Code.Cmpsb_m8_m8 or Code.Cmpsw_m16_m16 or Code.Cmpsd_m32_m32 or Code.Cmpsq_m64_m64;
        if (!s_isAmd || !isCompare || !instruction.HasRepePrefix)
        {
            return false;
        }

        ulong size = (ulong)instruction.MemorySize.GetSize();
        ulong source = instruction.GetVirtualAddress(0, 0, (register, _, _) => Value(native, register));
        ulong target = instruction.GetVirtualAddress(1, 0, (register, _, _) => Value(native, register));
        return host - source < size && ours - target < size;
    }

    /// <summary>Flags that after a fault are not to be compared.</summary>
    /// <param name="record">The state before.</param>
    /// <param name="native">The host's after.</param>
    /// <param name="instruction">What ran.</param>
    internal static ulong OpenFlags(byte* record, byte* native, in Instruction instruction)
    {
        const int Rcx = 1;
        bool isComparing = instruction.IsStringInstruction && (instruction.RflagsWritten & RflagsBits.ZF) != 0;
        return s_isAmd && isComparing && ((ulong*)record)[Rcx] != ((ulong*)native)[Rcx] ? ArithmeticFlags : 0;
    }

    /// <summary>Bits of MXCSR that after a fault are not to be compared.</summary>
    internal static uint OpenMxcsr(in Instruction instruction)
        => s_isAmd && instruction.Mnemonic == Mnemonic.Vcvtps2ph ? ExceptionFlags : 0;

    /// <summary>After a fault in a gather: reduces its mask register to what counts.</summary>
    /// <param name="area">In the XSAVE layout.</param>
    /// <param name="instruction">What ran.</param>
    internal static void ReduceGatherMask(byte* area, in Instruction instruction)
    {
        const int XmmAt = 160;
        const int HighAt = 576;
        const int HalfBytes = 16;
        if (!s_isAmd || !instruction.IsVsib)
        {
            return;
        }

        int dataBytes = instruction.MemorySize.GetSize();
        int indexBytes = instruction.IsVsib32 ? 4 : 8;
        int elementCount = Math.Min(
            instruction.MemoryIndex.GetSize() / indexBytes, instruction.Op0Register.GetSize() / dataBytes);
        int offset = HalfBytes * instruction.Op2Register.GetNumber();
        for (int at = 0; at < 2 * HalfBytes; at++)
        {
            byte* part = area + offset + (at < HalfBytes ? XmmAt + at : HighAt + at - HalfBytes);
            bool isSign = at % dataBytes == dataBytes - 1 && at / dataBytes < elementCount;
            *part = isSign ? (byte)(*part & 0x80) : (byte)0;
        }
    }

    private static bool IsFxsave(in Instruction instruction)
        => instruction.Mnemonic is Mnemonic.Fxsave or Mnemonic.Fxsave64;

    private static bool IsXsavec(in Instruction instruction)
        => instruction.Mnemonic is Mnemonic.Xsavec or Mnemonic.Xsavec64;

    private static bool IsXsave(in Instruction instruction) => instruction.Mnemonic
        is Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsaveopt or Mnemonic.Xsaveopt64;

    private static int StoredOffset(ulong address)
    {
        int offset = (int)(address - SandboxAddress);
        return (StoredPage(offset / PageBytes) * PageBytes) + (offset % PageBytes);
    }

    private static ulong Value(byte* record, Register register) => register switch
    {
        Register.FS => FsBase,
        Register.GS => GsBase,
        _ when register.IsSegmentRegister() => 0,
        _ => ((ulong*)record)[register.GetFullRegister().GetNumber()],
    };
}
