using System;
using System.Text.Json;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Control;

/// <summary>Names of states and taints, as they leave the process: camel case.</summary>
internal static class GuestStates
{
    /// <summary>No machine yet.</summary>
    public const string Starting = "starting";

    /// <summary>The guest of a process without a pair runs.</summary>
    public const string Running = "running";

    /// <summary>The guest is over here; what is left is to tidy up.</summary>
    public const string Ended = "ended";

    private static readonly string[] s_alone = [Starting, Running, NameOf(StandbyState.Live), Ended];
    private static readonly string[] s_primary = Array.ConvertAll(Enum.GetValues<PrimaryState>(), NameOf);

    private static readonly string[] s_standby =
        [Starting, .. Array.ConvertAll(Enum.GetValues<StandbyState>(), NameOf)];

    /// <summary>All that a process in a role can be in.</summary>
    public static string[] Of(GuestRole role) => role switch
    {
        GuestRole.Alone => s_alone,
        GuestRole.Primary => s_primary,
        GuestRole.Standby => s_standby,
    };

    /// <summary>All taints that there are.</summary>
    public static PairTaints[] AllTaints { get; } =
        [PairTaints.SameHost, PairTaints.AckFromMemory, PairTaints.Insecure];

    /// <summary>The value's name.</summary>
    public static string NameOf<T>(T value)
        where T : struct, Enum
        => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());
}
