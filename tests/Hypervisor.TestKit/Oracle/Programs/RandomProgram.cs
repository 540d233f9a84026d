using System.Collections.Generic;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>A generated program with the state in which it starts.</summary>
internal sealed class RandomProgram(ProgramMode mode)
{
    /// <summary>What it is for.</summary>
    internal ProgramMode Mode { get; } = mode;

    /// <summary>The main part first, then functions, by address.</summary>
    internal List<ProgramSection> Sections { get; } = [];

    /// <summary>Words of the image that hold the address of a label: jump tables.</summary>
    internal List<(ulong Address, ProgramLabel Label)> Words { get; } = [];

    /// <summary>The initial memory; the assembler adds the code.</summary>
    internal byte[] Image { get; } = new byte[ProgramLayout.ImageBytes];

    /// <summary>The initial state, in the layout of a record's part.</summary>
    internal byte[] State { get; } = new byte[OracleLayout.OutputAt];

    /// <summary>Where it starts.</summary>
    internal ProgramLabel Start { get; } = new();

    /// <summary>All nodes of all sections.</summary>
    internal IEnumerable<ProgramNode> Nodes
    {
        get
        {
            foreach (ProgramSection section in Sections)
            {
                foreach (ProgramNode node in section.Nodes)
                {
                    yield return node;
                }
            }
        }
    }
}
