using Hypervisor.Cpu.Paging;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Instructions that begin on one page and end on the next.</content>
internal sealed unsafe partial class BlockTranslator
{
    private const int InstructionBytesMax = 15;

    private readonly byte[] _crossing = new byte[InstructionBytesMax];

    // The instruction at _offset goes on in the next page: its code runs only while that page is mapped as it is now.
    // Gives the page's number in RAM; negative: nothing is mapped there.
    private long DecodeCrossing(byte* page, ulong linearPage, out Instruction instruction)
    {
        ulong faultAddress = _vcpu.State->Cr2;
        byte* next = _vcpu.Mmu.TryFetch(linearPage + PageBytes, out _);
        _vcpu.State->Cr2 = faultAddress; // the guest has not come there yet
        int inPage = PageBytes - _offset;
        if (next == null || inPage >= InstructionBytesMax)
        {
            instruction = default;
            return -1;
        }

        _vcpu.Blocks.BeginReading(_vcpu.Mmu.RamOffset(next) >> 12);
        for (int i = 0; i < InstructionBytesMax; i++)
        {
            _crossing[i] = i < inPage ? page[_offset + i] : next[i - inPage];
        }

        fixed (byte* bytes = _crossing)
        {
            _reader.Set(bytes, InstructionBytesMax);
            _decoders[_codeMode].IP = (ulong)_offset;
            _decoders[_codeMode].Decode(out instruction);
            Normalize(ref instruction);
        }

        EmitMappingCheck(next);
        return _vcpu.Mmu.RamOffset(next) >> 12;
    }

    // Leaves for the interpreter unless instructions of the next page come from where they did.
    private void EmitMappingCheck(byte* next)
    {
        ReleaseR10();
        int mode = _variant.Mode == TlbMode.User ? TlbMode.User : TlbMode.Supervisor;
        EmitLinear(PageBytes);
        if (_variant.IsLegacy)
        {
            _code.Move32(R9, R9); // without the base of CS
        }

        _code.Pext(R10, R9, State, StateOffset.TlbSlotBits);
        _code.LoadIndexed(Rcx, State, R10, 3, StateOffset.Tlb(mode, TlbEntry.ExecuteAt));
        _code.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, -(int)TlbEntry.PageBytes);
        EmitUnlessZero();
        EmitTlbSlot(R9);
        _code.LoadIndexed(R10, State, R10, 3, StateOffset.Tlb(mode, TlbEntry.AddendAt));
        _code.MoveImmediate64(Rcx, 0 - (ulong)next);
        _code.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, 0);
        _code.LeaIndexed(wide: true, Rcx, Rcx, R10, 0, 0);
        EmitUnlessZero();
    }
}
