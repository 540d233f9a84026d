using Hypervisor.Cpu.Instructions;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Decode;

/// <summary>
/// Turns guest code into operations: Iced decodes, the instruction table chooses the semantic functions.
/// </summary>
internal sealed unsafe class BlockDecoder
{
    private const int PageBytes = 4096;
    private const int InstructionBytesMax = 15;

    private readonly Vcpu _vcpu;
    private readonly PointerReader _reader = new();
    private readonly Decoder[] _decoders;
    private readonly byte[] _crossing = new byte[InstructionBytesMax];

    internal BlockDecoder(Vcpu vcpu)
    {
        _vcpu = vcpu;
        _decoders =
        [
            Decoder.Create(16, _reader, DecoderOptions.None),
            Decoder.Create(32, _reader, DecoderOptions.None),
            Decoder.Create(64, _reader, DecoderOptions.None),
        ];
    }

    /// <summary>Decodes up to <paramref name="max"/> operations from one page.</summary>
    /// <returns>How many; 0 when already the first instruction crosses into the next page.</returns>
    internal int DecodeBlock(byte* host, uint codeMode, Operation* operations, int max, out int codeBytes)
    {
        _reader.Set(host, PageBytes - (int)((ulong)host & (PageBytes - 1)));
        Decoder decoder = _decoders[codeMode];
        decoder.IP = 0;
        int count = 0;
        codeBytes = 0;
        while (count < max)
        {
            decoder.Decode(out Instruction instruction);
            if (decoder.LastError == DecoderError.NoMoreBytes)
            {
                break;
            }

            InstructionTraits traits = Lower(instruction, codeMode, operations + count);
            count++;
            codeBytes += instruction.Length;
            if ((traits & InstructionTraits.EndsBlock) != 0)
            {
                break;
            }
        }

        return count;
    }

    /// <summary>Decodes the one instruction at CS:RIP, fetching from the next page if it goes on there.</summary>
    /// <returns>False: the fetch faulted; the exception is recorded.</returns>
    internal bool TryDecodeOne(byte* host, uint codeMode, Operation* operation)
    {
        int inPage = PageBytes - (int)((ulong)host & (PageBytes - 1));
        _reader.Set(host, inPage);
        Decoder decoder = _decoders[codeMode];
        decoder.IP = 0;
        decoder.Decode(out Instruction instruction);
        if (decoder.LastError == DecoderError.NoMoreBytes)
        {
            CpuState* state = _vcpu.State;
            ulong linear = codeMode == 2 ? state->Rip : (uint)(state->Rip + state->Segments[SegmentRegister.Cs].Base);
            ulong next = codeMode == 2 ? linear + (ulong)inPage : (uint)(linear + (ulong)inPage);
            byte* rest = _vcpu.Mmu.TryFetch(next, out bool isFault);
            if (isFault)
            {
                return false;
            }

            for (int i = 0; i < InstructionBytesMax; i++)
            {
                _crossing[i] = i < inPage ? host[i] : rest != null ? rest[i - inPage] : (byte)0xFF;
            }

            fixed (byte* bytes = _crossing)
            {
                _reader.Set(bytes, InstructionBytesMax);
                decoder.IP = 0;
                decoder.Decode(out instruction);
            }
        }

        _ = Lower(instruction, codeMode, operation);
        return true;
    }

    private static Outcome Undefined(Vcpu vcpu, Operation* op) => vcpu.Raise(ExceptionVector.InvalidOpcode);

    private static Outcome TooLong(Vcpu vcpu, Operation* op) => vcpu.Raise(ExceptionVector.GeneralProtection, 0);

    /// <summary>Fills <paramref name="op"/> for a decoded instruction.</summary>
    internal InstructionTraits Lower(in Instruction instruction, uint codeMode, Operation* op)
    {
        if (instruction.IsInvalid)
        {
            // 15 bytes and still not complete is #GP, everything else that does not decode is #UD.
            *op = default;
            op->Length = 1;
            op->Execute = instruction.Length >= InstructionBytesMax ? &TooLong : &Undefined;
            return InstructionTraits.EndsBlock;
        }

        OperandLowering.Lower(instruction, codeMode, op);
        ref readonly InstructionRow row = ref InstructionTable.Find(instruction.Code);
        if (row.Lower != null)
        {
            row.Lower(new LoweringContext(_vcpu, codeMode), instruction, op);
        }

        if (op->Execute == null || InstructionTable.HasBadLock(instruction))
        {
            op->Execute = &Undefined;
            return InstructionTraits.EndsBlock;
        }

        return row.Traits;
    }
}
