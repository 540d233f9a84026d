using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>What runs rarely: it lies apart from the rest of the block.</content>
internal sealed unsafe partial class BlockTranslator
{
    private void Later(OutOfLineKind kind, byte* hole, byte* resume = null, uint argument = 0)
        => Later(new OutOfLine(kind, (nint)hole, (nint)resume, _offset, argument));

    private void Later(in OutOfLine part) => _outOfLine.Add(part with { Uncounted = _uncounted });

    private void EmitOutOfLine()
    {
        for (int i = 0; i < _outOfLine.Count; i++)
        {
            OutOfLine part = _outOfLine[i];
            _offset = part.Offset;
            _uncounted = part.Uncounted;
            switch (part.Kind)
            {
                case OutOfLineKind.Events:
                    _code.Land((byte*)part.Hole);
                    EmitLinear(part.Offset);
                    EmitExit(ExitReason.Events);
                    break;
                case OutOfLineKind.Access:
                    _code.Land((byte*)part.Hole);
                    EmitAccessCall(part);
                    break;
                case OutOfLineKind.InterpretOne:
                    _code.Land((byte*)part.Hole);
                    EmitCount(_uncounted);
                    EmitLinear(part.Offset);
                    EmitExit(ExitReason.InterpretOne);
                    break;
                case OutOfLineKind.Interpret:
                    _code.Land((byte*)part.Hole);
                    EmitCount(_uncounted);
                    EmitLinear(part.Offset);
                    _code.MoveImmediate64(R10, (ulong)part.Hit);
                    EmitExit(ExitReason.Interpret);
                    break;
                case OutOfLineKind.UnknownTarget:
                    _code.Land((byte*)part.Hole);
                    byte* unknown = EntryStubs.EmitSecondWay(_code, _variant.Set);
                    _code.Jump((byte*)part.Hit);
                    _code.Land(unknown);
                    EmitNoteUncounted();
                    _code.Move(R10, R9);
                    _code.MoveImmediate64(Rcx, (ulong)part.Resume);
                    _code.Store(State, StateOffset.SavedCode, Rcx);
                    EmitLinear(part.Offset);
                    EmitExit(ExitReason.UnknownTarget);
                    break;
                case OutOfLineKind.Division:
                    EmitDivisionGuard((byte*)part.Hole);
                    break;
                case OutOfLineKind.FarJump:
                    _code.Land((byte*)part.Hole);
                    EmitFarJump((int)part.Argument);
                    break;
                case OutOfLineKind.Return:
                    EmitReturn(part);
                    break;
                case OutOfLineKind.FarLink:
                    EmitFarLink(part);
                    break;
                case OutOfLineKind.Link:
                case OutOfLineKind.ReturnLink:
                    _cache.SetStub((int)part.Argument, _code.Here);
                    if (part.Kind == OutOfLineKind.Link)
                    {
                        EmitLinear(part.Offset);
                    }

                    _code.MoveImmediate32(R10, part.Argument);
                    EmitExit(ExitReason.Unlinked);
                    break;
            }
        }
    }

    private enum OutOfLineKind
    {
        /// <summary>Something is up at the block's entry.</summary>
        Events,

        /// <summary>The TLB does not grant an access. Argument: its descriptor.</summary>
        Access,

        /// <summary>Something unusual is about; the instruction has not begun.</summary>
        InterpretOne,

        /// <summary>As <see cref="InterpretOne"/>, and the block ends. Hit: the InterpretedOperation.</summary>
        Interpret,

        /// <summary>The jump cache does not know a target. Resume: where it is looked up.</summary>
        UnknownTarget,

        /// <summary>Where a call returns to, with that address in R9. Argument: its link.</summary>
        ReturnLink,

        /// <summary>The return cache does not know a return. Argument: what it pops besides.</summary>
        Return,

        /// <summary>A division that might fault; flags in RCX.</summary>
        Division,

        /// <summary>A conditional jump to another page. Argument: the target's offset from this page.</summary>
        FarJump,

        /// <summary>A direct jump to another page whose target is not sure. Argument: its link.</summary>
        FarLink,

        /// <summary>A direct jump within the page. Argument: its link.</summary>
        Link,
    }

    // Offset: of the instruction, or of a link's target.
    private readonly record struct OutOfLine(OutOfLineKind Kind, nint Hole, nint Resume, int Offset, uint Argument)
    {
        // See _uncounted.
        internal int Uncounted { get; init; }

        internal int Register { get; init; } = R9;

        internal nint Hit { get; init; }

        internal int Far { get; init; }

        internal int Below { get; init; }

        internal int HullBytes { get; init; }

        internal bool IsNear { get; init; }
    }
}
