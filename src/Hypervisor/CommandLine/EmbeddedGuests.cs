using System.Collections.Generic;
using Hypervisor.Machine;

namespace Hypervisor.CommandLine;

/// <summary>The test guests that are built into `hv`, by the name that `--guest` takes.</summary>
internal static class EmbeddedGuests
{
    /// <summary>The names.</summary>
    public static IReadOnlyList<string> Names { get; } = [];

    /// <summary>Assembles a guest.</summary>
    public static BootImage Build(string name) => throw new FailureException($"--guest {name}: not built in");
}
