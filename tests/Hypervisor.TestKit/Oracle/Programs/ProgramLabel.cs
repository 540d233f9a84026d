using Iced.Intel;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>A place in a random program.</summary>
internal sealed class ProgramLabel
{
    /// <summary>The node that it stands before; null until it is placed.</summary>
    internal ProgramNode? Node { get; set; }

    /// <summary>Flags that may be undefined there, on any way to it.</summary>
    internal RflagsBits Undefined { get; set; }
}
