using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Paging;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>AVX-512.</content>
/// <remarks>
/// In user mode its registers go into the host's at first use, and stay there until the code is left. As long as they
/// do not, the upper halves of ZMM0 to ZMM15 are 0 (<see cref="EntryStubs"/> sees to it), so that code without AVX-512
/// may write YMM registers as ever.
/// </remarks>
internal sealed unsafe partial class BlockTranslator
{
    private bool _isWideLoaded;

    private bool HasWideRegisters => _vcpu.Features.Has(CpuFeature.Avx512F);

    // Once a block, unless something in it leaves and comes back.
    private void EmitLoadWide()
    {
        if (_variant.IsSupervisor || _isWideLoaded)
        {
            return;
        }

        _isWideLoaded = true;
        _code.Load(Rcx, State, StateOffset.IsWideParked);
        byte* isLoaded = _code.JumpShortIfRcxZero();
        _code.Call(_set.LoadWide);
        _code.LandShort(isLoaded);
    }

    // What is masked off must not fault: unless the TLB grants all of the operand, the instruction is interpreted.
    private Place EmitMaskedOperand(in Instruction instruction, int sizeBytes, bool isWrite, int alignmentMask)
    {
        int address = _variant.IsLegacy
            ? EmitLegacyAddress(instruction, sizeBytes, isWrite)
            : EmitAddress(instruction);
        ReleaseR10();
        EmitTagCheck(address, address, sizeBytes, isWrite, alignmentMask);
        Later(OutOfLineKind.InterpretOne, _code.JumpUnlessRcxIsOne());
        _code.LoadIndexed(R10, State, R10, 3, StateOffset.Tlb(_variant.Mode, TlbEntry.AddendAt));
        return new Place(address, 0);
    }
}
