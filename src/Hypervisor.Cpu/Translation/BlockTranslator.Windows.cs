using System.Numerics;
using Hypervisor.Core;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Accesses that are checked together.</content>
/// <remarks>
/// The first member of a window that runs checks the whole hull; what it finds, host minus linear address of the page,
/// stays in R10 or goes to the state until the last member. Nothing takes a grant of the TLB back while a block runs:
/// who does (a cut, another vCPU that begins to hold code, a translation) does it between blocks. Where a hull crosses
/// a page the block is left for one whose accesses are all checked alone.
/// </remarks>
internal sealed unsafe partial class BlockTranslator
{
    private const int NoWindow = AccessPlan.None;

    private readonly AccessPlan _plan = new();
    private readonly LiveWindow[] _live = new LiveWindow[2 * (InstructionsMax + 1)];
    private int _index; // of the instruction at work, in its block
    private int _addendOf; // window whose addend is in R10
    private uint _freeSlots;

    private void BeginWindows()
    {
        _plan.Clear(_variant.IsLegacy);
        if (!_variant.IsCareful && !_variant.IsSegmented)
        {
            for (int i = 0; i < _guestCount; i++)
            {
                _plan.Add(i, _guest[i], _information.GetInfo(_guest[i]));
            }
        }

        for (int window = 0; window < _plan.Count; window++)
        {
            _live[window] = new LiveWindow { Left = _plan[window].Members, Slot = NoSlot };
        }

        _addendOf = NoWindow;
        _freeSlots = (1u << StateOffset.AddendSlots) - 1;
    }

    // What was checked before holds no longer: something ran that may have changed what the TLB grants.
    private void ForgetWindows()
    {
        for (int window = 0; window < _plan.Count; window++)
        {
            Release(ref _live[window]);
        }

        _addendOf = NoWindow;
    }

    // R10 is about to be used for something else.
    private void ReleaseR10()
    {
        if (_addendOf == NoWindow)
        {
            return;
        }

        ref LiveWindow live = ref _live[_addendOf];
        _addendOf = NoWindow;
        if (live.Left == 0 || live.Slot != NoSlot)
        {
            return;
        }

        if (_freeSlots == 0)
        {
            Release(ref live);
            return;
        }

        live.Slot = BitOperations.TrailingZeroCount(_freeSlots);
        _freeSlots &= _freeSlots - 1;
        _code.Store(State, StateOffset.Addend(live.Slot), R10);
    }

    private void Release(ref LiveWindow live)
    {
        live.IsLive = false;
        if (live.Slot != NoSlot)
        {
            _freeSlots |= 1u << live.Slot;
            live.Slot = NoSlot;
        }
    }

    /// <summary>
    /// Makes sure that the memory operand can be accessed, and says where it is then: [base + R10 + displacement].
    /// Uses RCX, R9 and R10.
    /// </summary>
    private Place EmitOperand(in Instruction instruction, int sizeBytes, bool isWrite, int alignmentMask = 0)
    {
        if (_variant.IsLegacy)
        {
            return EmitLegacyOperand(instruction, sizeBytes, isWrite, alignmentMask);
        }

        int segment = SegmentOf(instruction);
        AccessPlan.Member member = _plan.Operand(_index);
        if (member.Window == NoWindow || alignmentMask != 0 || !IsUseful(member, isWrite))
        {
            int address = EmitAddress(instruction);
            int near = _plan.IsNearBase(_index) ? EmitNear(instruction) : address;
            return new Place(EmitCheck(address, sizeBytes, segment, isWrite, alignmentMask, near: near), 0);
        }

        int displacement = (int)(long)instruction.MemoryDisplacement64;
        int register = R9;
        if (instruction.IsIPRelativeMemoryOperand)
        {
            _code.Load(R9, State, StateOffset.CodeBase);
        }
        else
        {
            register = EmitPart(instruction.MemoryBase, R9);
        }

        return EmitMember(member, register, displacement, sizeBytes, segment, isWrite);
    }

    /// <summary>As <see cref="EmitOperand"/>, for the word on the stack that the instruction is about.</summary>
    private Place EmitStackOperand(int register, int displacement, bool isWrite)
    {
        if (_variant.IsLegacy)
        {
            return EmitLegacyStackOperand(register, displacement, LegacyWordBytes, isWrite);
        }

        AccessPlan.Member member = _plan.Stack(_index);
        if (member.Window != NoWindow && IsUseful(member, isWrite))
        {
            return EmitMember(member, register, displacement, WordBytes, SegmentRegister.Ss, isWrite);
        }

        int address = register;
        if (displacement != 0)
        {
            address = R9;
            _code.Lea(R9, register, displacement);
        }

        return new Place(EmitCheck(address, WordBytes, SegmentRegister.Ss, isWrite), 0);
    }

    // Whether the access is checked already, or its check will serve others. Otherwise it is counted and left alone.
    private bool IsUseful(AccessPlan.Member member, bool isWrite)
    {
        ref LiveWindow live = ref _live[member.Window];
        live.Left--;
        return live.IsLive
            || (live.Left > 0 && isWrite == _plan[member.Window].IsWrite && !IsInShadow());
    }

    // Behind STI the block must not be left for another, where interrupts are looked for.
    private bool IsInShadow() => _index > 0 && _guest[_index - 1].Mnemonic == Mnemonic.Sti;

    private Place EmitMember(
        AccessPlan.Member member, int register, int displacement, int sizeBytes, int segment, bool isWrite)
    {
        ref LiveWindow live = ref _live[member.Window];
        AccessWindow window = _plan[member.Window];
        if (live.IsLive)
        {
            if (_addendOf != member.Window)
            {
                ReleaseR10();
                Check.That(live.Slot != NoSlot);
                _code.Load(R10, State, StateOffset.Addend(live.Slot));
                _addendOf = member.Window;
            }

            if (live.Left == 0)
            {
                Release(ref live);
            }

            return _variant.IsLegacy ? EmitFlatPlace(register, displacement) : new Place(register, displacement);
        }

        int below = window.IsPage ? 0 : (int)(member.Offset - window.Low);
        int hullBytes = window.IsPage ? 0 : window.HullBytes;
        int address = register;
        if (_variant.IsLegacy)
        {
            address = EmitFlatPlace(register, displacement - below).Base;
        }
        else if (displacement != below)
        {
            address = R9;
            _code.Lea(R9, register, displacement - below);
        }

        address = EmitCheck(address, sizeBytes, segment, isWrite, alignmentMask: 0, isShared: true, below, hullBytes);
        live.IsLive = true;
        _addendOf = member.Window;
        return new Place(address, below);
    }

    /// <summary>Where an operand is: [base + R10 + displacement].</summary>
    private readonly record struct Place(int Base, int Displacement);

    private struct LiveWindow
    {
        internal bool IsLive;
        internal int Left; // members to come
        internal int Slot; // where its addend is kept, once R10 was needed for something else
    }
}
