using System;
using System.Collections.Generic;
using Iced.Intel;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Writes nodes and labels, and knows at each point which flags are undefined.</summary>
/// <remarks>
/// Nothing reads a flag that the manual leaves open: before such a reader, and where control flow meets, an instruction
/// that defines all of them is put in.
/// </remarks>
internal sealed class ProgramBuilder(
    RandomProgram program, ProgramConverter converter, ProgramRegisters registers, Random random)
{
    private const RflagsBits Arithmetic = RflagsBits.CF | RflagsBits.PF | RflagsBits.AF | RflagsBits.ZF | RflagsBits.SF
        | RflagsBits.OF;

    // Stands for the node that will follow a label.
    private static readonly ProgramNode s_placed = new();

    private static readonly Code[] s_definers =
        [Code.Add_rm32_r32, Code.Sub_rm64_r64, Code.Cmp_rm64_r64, Code.Cmp_rm16_r16, Code.Sub_rm32_r32];

    private readonly List<ProgramLabel> _pending = [];
    private ProgramSection _section = program.Sections[0];

    /// <summary>Flags that the manual leaves open here.</summary>
    internal RflagsBits Undefined { get; private set; }

    /// <summary>How often what is written now will run.</summary>
    internal double Weight { get; set; } = 1;

    /// <summary>How many instructions will run, roughly.</summary>
    internal double RunCount { get; set; }

    /// <summary>How many instructions were written.</summary>
    internal int Count { get; private set; }

    /// <summary>Writes an instruction.</summary>
    internal ProgramNode Emit(
        Instruction instruction, ProgramFixup fixup = ProgramFixup.None, ProgramLabel? target = null, int offset = 0,
        int beforePageEnd = 0)
    {
        instruction = converter.Convert(instruction);
        if ((instruction.RflagsRead & Undefined) != 0)
        {
            DefineFlags();
        }

        ProgramNode node = Add(new ProgramNode
        {
            Instruction = instruction,
            Fixup = fixup,
            Target = target,
            Offset = offset,
            BytesBeforePageEnd = beforePageEnd,
            UndefinedBefore = Undefined,
        });
        RflagsBits before = Undefined;
        Undefined = (before & ~DefinedBy(instruction)) | OpenedBy(instruction);
        node.Opens = OpenedBy(instruction);
        node.Closes = before & ~Undefined;
        Count++;
        RunCount += Weight;
        return node;
    }

    /// <summary>Writes bytes that are not run.</summary>
    internal ProgramNode EmitBytes(byte[] bytes) => Add(new ProgramNode { Raw = bytes, UndefinedBefore = Undefined });

    /// <summary>Writes a branch; on both ways the flags are as they are now.</summary>
    internal ProgramNode EmitBranch(Code code, ProgramLabel target, int offset = 0)
    {
        var instruction = new Instruction { Code = code, Op0Kind = OpKind.NearBranch64 };
        if ((instruction.RflagsRead & Undefined) != 0)
        {
            DefineFlags();
        }

        if (target.Node is null)
        {
            target.Undefined |= Undefined;
        }
        else if ((Undefined & ~target.Undefined) != 0)
        {
            DefineFlags();
        }

        return Emit(instruction, ProgramFixup.Branch, target, offset);
    }

    /// <summary>The next node is where <paramref name="label"/> is.</summary>
    internal void Place(ProgramLabel label)
    {
        Undefined |= label.Undefined;
        label.Undefined = Undefined;
        _pending.Add(label);
        label.Node = s_placed;
    }

    /// <summary>A label here.</summary>
    internal ProgramLabel PlaceHere()
    {
        var label = new ProgramLabel();
        Place(label);
        return label;
    }

    /// <summary>The head of a loop: its end may leave the adjust flag open.</summary>
    internal ProgramLabel PlaceHead()
    {
        Undefined |= RflagsBits.AF;
        return PlaceHere();
    }

    /// <summary>Makes all flags defined, if they are not.</summary>
    internal void DefineFlags()
    {
        if (Undefined == RflagsBits.None)
        {
            return;
        }

        Code code = s_definers[random.Next(s_definers.Length)];
        Register first = code switch
        {
            Code.Add_rm32_r32 or Code.Sub_rm32_r32 => Register.EAX,
            Code.Cmp_rm16_r16 => Register.AX,
            _ => Register.RAX,
        };
        Emit(Instruction.Create(code, first + registers.Free(random), first + random.Next(registers.Count)));
    }

    /// <summary>Writes a function elsewhere; flags are defined at its start and must be at its end.</summary>
    internal ProgramLabel EmitSection(ulong address, double weight, Action<ProgramLabel> body)
    {
        DefineFlags();
        (ProgramSection section, double outer) = (_section, Weight);
        ProgramLabel[] pending = [.. _pending];
        _pending.Clear();
        _section = new ProgramSection(address);
        program.Sections.Add(_section);
        Weight = weight;
        ProgramLabel entry = PlaceHere();
        body(entry);
        (_section, Weight) = (section, outer);
        _pending.AddRange(pending);
        Undefined = RflagsBits.None;
        return entry;
    }

    private static RflagsBits DefinedBy(in Instruction instruction)
    {
        bool isMaybe = IsShift(instruction.Mnemonic) && IsByRegister(instruction);
        isMaybe |= instruction.HasRepePrefix || instruction.HasRepnePrefix;
        return isMaybe ? RflagsBits.None : instruction.RflagsModified & ~instruction.RflagsUndefined & Arithmetic;
    }

    private static RflagsBits OpenedBy(in Instruction instruction)
    {
        RflagsBits opened = instruction.RflagsUndefined & Arithmetic;
        if (instruction.Mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Shld or Mnemonic.Shrd)
        {
            int width = 8 * (instruction.Op0Kind == OpKind.Memory
                ? instruction.MemorySize.GetSize()
                : instruction.Op0Register.GetSize());
            bool isFar = IsByRegister(instruction) || (instruction.Immediate8 & 31) >= width;
            opened |= width < 32 && isFar ? RflagsBits.CF : RflagsBits.None;
        }

        return opened;
    }

    private static bool IsByRegister(in Instruction instruction)
        => instruction.GetOpKind(instruction.OpCount - 1) == OpKind.Register;

    private static bool IsShift(Mnemonic mnemonic) => mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr
        or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shld
        or Mnemonic.Shrd;

    private ProgramNode Add(ProgramNode node)
    {
        foreach (ProgramLabel label in _pending)
        {
            label.Node = node;
        }

        _pending.Clear();
        _section.Nodes.Add(node);
        return node;
    }
}
