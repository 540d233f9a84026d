using System.Collections.Generic;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Nodes that follow each other in memory: the main part or a function.</summary>
/// <param name="address">Where the first node is laid out.</param>
internal sealed class ProgramSection(ulong address)
{
    /// <summary>Where the first node is laid out, if the sections before it leave room.</summary>
    internal ulong Address { get; } = address;

    /// <summary>The nodes in order.</summary>
    internal List<ProgramNode> Nodes { get; } = [];
}
