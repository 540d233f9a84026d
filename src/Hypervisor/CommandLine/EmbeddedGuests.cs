using System.Collections.Generic;
using Hypervisor.Guest;
using Hypervisor.Machine.Boot;

namespace Hypervisor.CommandLine;

/// <summary>The test guests that are built into `hv`, by the name that `--guest` takes.</summary>
internal static class EmbeddedGuests
{
    /// <summary>The guest of the main job: see <see cref="CountingGuest"/>.</summary>
    public const string Counting = "counting";

    /// <summary>A loop of known length, to measure the engine: see <see cref="ComputeGuest"/>.</summary>
    public const string Compute = "compute";

    /// <summary>The names.</summary>
    public static IReadOnlyList<string> Names { get; } = [Counting, Compute];

    /// <summary>Assembles the guest of that name, one of <see cref="Names"/>.</summary>
    public static BootFile Open(string name)
        => BootFile.FromBytes("kernel", name, name == Compute ? ComputeGuest.Build() : CountingGuest.Build());
}
