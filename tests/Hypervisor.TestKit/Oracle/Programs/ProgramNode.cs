using Iced.Intel;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>One instruction of a random program, or bytes between instructions.</summary>
internal sealed class ProgramNode
{
    /// <summary>Bytes instead of an instruction.</summary>
    internal byte[]? Raw { get; init; }

    /// <summary>What the address of <see cref="Target"/> is put into.</summary>
    internal ProgramFixup Fixup { get; init; }

    /// <summary>The label whose address the instruction holds.</summary>
    internal ProgramLabel? Target { get; init; }

    /// <summary>Added to the label's address.</summary>
    internal int Offset { get; init; }

    /// <summary>Not 0: starts so many bytes before the end of a page.</summary>
    internal int BytesBeforePageEnd { get; init; }

    /// <summary>Shrinking must leave it.</summary>
    internal bool IsKept { get; set; }

    /// <summary>Flags that it leaves undefined.</summary>
    internal RflagsBits Opens { get; set; }

    /// <summary>Flags that were undefined before it and are defined after it.</summary>
    internal RflagsBits Closes { get; set; }

    /// <summary>Flags that the manual leaves open when this instruction starts.</summary>
    internal RflagsBits UndefinedBefore { get; set; }

    /// <summary>Taken out by shrinking: no bytes, but labels stay.</summary>
    internal bool IsRemoved { get; set; }

    /// <summary>The instruction; its branches may be widened when the program is laid out.</summary>
    internal Instruction Instruction { get; set; }

    /// <summary>Where it was laid out.</summary>
    internal ulong Address { get; set; }

    /// <summary>Bytes of it, set when laid out.</summary>
    internal int Length { get; set; }

    /// <summary>Where in it the immediate is, set when laid out.</summary>
    internal int ImmediateOffset { get; set; }
}
