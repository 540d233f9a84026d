using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>The registers of AVX-512, in the stubs of user mode for guests that have them.</content>
/// <remarks>
/// They are moved only when they are used: a program that uses YMM registers at most is entered and left as fast as on
/// a CPU without them, but for a look at the upper halves. These are loaded at once if any is not 0, because
/// instructions on XMM and YMM registers clear or keep them.
/// </remarks>
internal sealed unsafe partial class EntryStubs
{
    private const int ZeroCondition = 4;
    private const int MaskCount = 8;
    private const int WideCount = 32;

    /// <summary>Called to put the registers that YMM0 to YMM15 do not have into the host's. Keeps all else.</summary>
    internal byte* LoadWide { get; }

    // The upper halves of ZMM0 to ZMM15 are 0 here, in the host's registers too.
    private void EmitLoadWide()
    {
        LoadUpper();
        _emitter.StoreImmediate64(State, StateOffset.IsWideParked, 0);
        _emitter.Return();
    }

    // Flags and RAX to RDX need not be kept, but for RCX at the entry and RAX behind a call.
    private void LoadWideOrNarrow(bool isEntry)
    {
        byte* narrow;
        if (isEntry)
        {
            TestUpper();
            narrow = _emitter.JumpForwardIf(ZeroCondition);
            _emitter.StoreImmediate64(State, StateOffset.IsWideParked, 0);
        }
        else
        {
            narrow = JumpIfParked();
        }

        for (int register = 0; register < Count; register++)
        {
            _emitter.LoadZmm(register, State, StateOffset.Vector(register));
        }

        LoadUpper();
        byte* end = _emitter.JumpForward();
        _emitter.Land(narrow);
        LoadNarrow();
        _emitter.Land(end);
    }

    // Zero flag: the upper halves of ZMM0 to ZMM15 are 0. In several chains, as each OR waits for the one before.
    private void TestUpper()
    {
        const int chains = 4;
        for (int register = 0; register < chains; register++)
        {
            _emitter.LoadZmm(register, State, StateOffset.Vector(register));
        }

        for (int register = chains; register < Count; register++)
        {
            _emitter.OrZmm(register % chains, State, StateOffset.Vector(register));
        }

        for (int other = 1; other < chains; other++)
        {
            _emitter.OrZmm(0, other);
        }

        _emitter.ExtractUpper(0, 0);
        _emitter.TestYmm(0);
    }

    private void StoreWideOrNarrow(bool isExit)
    {
        byte* narrow = JumpIfParked();
        for (int register = 0; register < WideCount; register++)
        {
            _emitter.StoreZmm(State, StateOffset.Vector(register), register);
        }

        for (int register = 0; register < MaskCount; register++)
        {
            _emitter.StoreMask(State, StateOffset.Mask(register), register);
        }

        if (isExit)
        {
            _emitter.StoreImmediate64(State, StateOffset.IsWideParked, 1);
        }

        byte* end = _emitter.JumpForward();
        _emitter.Land(narrow);
        StoreNarrow();
        _emitter.Land(end);
    }

    private byte* JumpIfParked()
    {
        const int notZero = 5;
        _emitter.Load(Rdx, State, StateOffset.IsWideParked);
        _emitter.Test(Rdx);
        return _emitter.JumpForwardIf(notZero);
    }

    private void LoadUpper()
    {
        for (int register = Count; register < WideCount; register++)
        {
            _emitter.LoadZmm(register, State, StateOffset.Vector(register));
        }

        for (int register = 0; register < MaskCount; register++)
        {
            _emitter.LoadMask(register, State, StateOffset.Mask(register));
        }
    }
}
