using System.Collections.Generic;
using Hypervisor.Guest;
using Hypervisor.Machine.Boot;

namespace Hypervisor.CommandLine;

/// <summary>The test guests that are built into `hv`, by the name that `--guest` takes.</summary>
internal static class EmbeddedGuests
{
    /// <summary>The guest of the main job: see <see cref="CountingGuest"/>.</summary>
    public const string Counting = "counting";

    /// <summary>The names.</summary>
    public static IReadOnlyList<string> Names { get; } = [Counting];

    /// <summary>Assembles the guest of that name; there is one.</summary>
    public static BootFile Open(string name) => BootFile.FromBytes("kernel", name, CountingGuest.Build());
}
