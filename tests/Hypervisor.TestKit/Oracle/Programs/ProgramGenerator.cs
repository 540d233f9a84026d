using System;
using System.Collections.Generic;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Makes random programs: loops, calls, branches, stores to code, faults; every one of them ends.</summary>
internal sealed partial class ProgramGenerator
{
    private const int InstructionsMax = 280;
    private const double RunCountMax = 60_000;
    private const int DepthMax = 4;
    private const int FunctionsMax = 6;
    private const int PageJumpsMax = 2;

    private readonly InstructionGroups _groups;
    private readonly Random _random;
    private readonly ProgramRegisters _registers;
    private readonly OperandFiller _filler;
    private readonly InstructionPicker _picker;
    private readonly ProgramBuilder _builder;
    private readonly RandomProgram _program;
    private readonly ProgramMode _mode;
    private readonly ProgramLabel _exit = new();
    private readonly InterestingValues _values;
    private readonly List<(ProgramLabel Entry, int Counters, uint Reserved, double Cost)> _functions = [];
    private readonly int _taste;
    private int _slotCount;
    private int _tableWords;
    private int _pageJumpCount;
    private int _countersInUse;
    private (int Register, int Count) _innermost = (-1, 0);

    private ProgramGenerator(InstructionGroups groups, ProgramKind kind, bool isForHost, int seed)
    {
        _groups = groups;
        _random = new Random(seed);
        _mode = new ProgramMode(kind, _random, isForHost);
        _program = new RandomProgram(_mode);
        var converter = new ProgramConverter(_mode, _random);
        _values = new InterestingValues(_random);
        _registers = new ProgramRegisters(_mode, _random);
        _filler = new OperandFiller(_mode, converter, _registers, _random);
        _picker = new InstructionPicker(_mode, _registers, _filler, _random);
        _program.Sections.Add(new ProgramSection(CodeAddress + (ulong)_random.Next(PageBytes)));
        _builder = new ProgramBuilder(_program, converter, _registers, _random);
        _taste = _random.Next(8);
        _builder.Place(_program.Start);
    }

    /// <summary>The program of <paramref name="seed"/>, laid out and with its state.</summary>
    internal static RandomProgram Generate(
        InstructionGroups groups, ProgramAssembler assembler, ProgramKind kind, bool isForHost, int seed)
    {
        for (int attempt = 0; ; attempt++)
        {
            var generator = new ProgramGenerator(groups, kind, isForHost, unchecked(seed + (attempt * 0x5851_F42D)));
            generator.Build();
            if (assembler.TryAssemble(generator._program))
            {
                generator.FillState();
                return generator._program;
            }
        }
    }

    private void Build()
    {
        int wanted = _random.Next(20, InstructionsMax);
        while (_builder.Count < wanted && _builder.RunCount < RunCountMax)
        {
            if (_random.Next(3) != 0)
            {
                Loop(0);
            }
            else
            {
                Statement(0);
            }
        }

        _builder.DefineFlags();
        EmitExit();
        _program.Sections.Sort((left, right) => left.Address.CompareTo(right.Address));
    }

    // A branch without a label goes to the exit.
    private void EmitExit() => _builder.Emit(
        _mode.IsLong
            ? new Instruction { Code = Code.Jmp_rel32_64, Op0Kind = OpKind.NearBranch64 }
            : Instruction.Create(Code.Ud2),
        _mode.IsLong ? ProgramFixup.Branch : ProgramFixup.None,
        _exit);

    private void Statements(int depth, int count)
    {
        for (int i = 0; i < count && _builder.Count < InstructionsMax; i++)
        {
            Statement(depth);
        }
    }

    private void Statement(int depth)
    {
        if (depth >= DepthMax)
        {
            Filler(_random.Next(1, 4));
            return;
        }

        switch (_random.Next(32))
        {
            case 0 or 1 or 2 or 3:
                FlagChain();
                break;
            case 4 or 5:
                If(depth);
                break;
            case 6 or 7:
                Loop(depth);
                break;
            case 8 or 9:
                CallFunction(depth);
                break;
            case 10:
                Recursion(depth);
                break;
            case 11:
                OddReturn(depth);
                break;
            case 12:
                IndirectJump();
                break;
            case 13:
                TableJump();
                break;
            case 14:
                PushPop();
                break;
            case 15:
                StackFrame();
                break;
            case 16:
                Strings();
                break;
            case 17:
                Divide();
                break;
            case 18:
                SaveFlags();
                break;
            case 19:
                PageJump();
                break;
            case 20 or 21 or 22 when _taste is 0 or 1 or 2:
                ChangeCode();
                break;
            case 23 when _taste is 2 or 3 or 4:
                Fault();
                break;
            case 24:
                MiddleJump();
                break;
            case 25 when _mode.IsLong:
                TableLookup();
                break;
            default:
                Filler(_random.Next(1, 7));
                break;
        }
    }

    private void Filler(int count)
    {
        for (int i = 0; i < count; i++)
        {
            List<OpCodeInfo> group = _random.Next(16) switch
            {
                0 => _groups.All,
                1 or 2 when _taste is 5 => _groups.X87,
                3 or 4 when _taste is 6 => _groups.Other,
                (>= 3 and <= 8) when _taste is 7 => _groups.Wide,
                9 when _taste is 7 => _groups.Other,
                _ => _groups.Integer,
            };
            _builder.Emit(_picker.Pick(group, _builder.Undefined));
        }
    }

    // A producer, what leaves flags alone or writes some of them, and readers.
    private void FlagChain()
    {
        _builder.Emit(_picker.Pick(_groups.FlagWriters, _builder.Undefined));
        for (int i = _random.Next(5); i > 0; i--)
        {
            Keeper();
        }

        for (int i = _random.Next(1, 4); i > 0; i--)
        {
            if (_random.Next(4) == 0)
            {
                var skip = new ProgramLabel();
                _builder.EmitBranch(Condition(isNear: true), skip);
                Keeper();
                _builder.Place(skip);
            }
            else
            {
                const RflagsBits Needed = RflagsBits.CF | RflagsBits.ZF; // with one of them there is a reader
                if ((_builder.Undefined & Needed) == Needed)
                {
                    _builder.DefineFlags();
                }

                _builder.Emit(_picker.Pick(_groups.FlagReaders, _builder.Undefined));
            }

            if (_random.Next(2) == 0)
            {
                Keeper();
            }
        }
    }

    private void Keeper()
    {
        if (_random.Next(5) == 0)
        {
            int number = _registers.Free(_random);
            _builder.Emit(Instruction.Create(Code.Push_r64, ProgramRegisters.Full(_random.Next(_registers.Count))));
            _builder.Emit(Instruction.Create(Code.Pop_r64, ProgramRegisters.Full(number)));
            return;
        }

        _builder.Emit(_picker.Pick(_groups.FlagKeepers, _builder.Undefined));
    }

    // A Jcc whose flags are all defined.
    private Code Condition(bool isNear)
    {
        while (true)
        {
            Code code = isNear
                ? Code.Jo_rel32_64 + (3 * _random.Next(16))
                : Code.Jo_rel8_64 + (3 * _random.Next(16));
            if ((new Instruction { Code = code }.RflagsRead & _builder.Undefined) == 0)
            {
                return code;
            }

            _builder.DefineFlags();
        }
    }

    private void If(int depth)
    {
        var otherwise = new ProgramLabel();
        var end = new ProgramLabel();
        bool isShort = _random.Next(3) == 0;
        _builder.EmitBranch(Condition(!isShort), otherwise);
        if (isShort)
        {
            Filler(_random.Next(1, 5));
        }
        else
        {
            Statements(depth + 1, _random.Next(1, 3));
        }

        if (!isShort && _random.Next(2) == 0)
        {
            _builder.EmitBranch(Code.Jmp_rel32_64, end);
            _builder.Place(otherwise);
            Statements(depth + 1, _random.Next(1, 3));
            _builder.Place(end);
        }
        else
        {
            _builder.Place(otherwise);
        }
    }
}
