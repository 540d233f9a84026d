using System.Text.RegularExpressions;

namespace Hypervisor.Benchmarks.Network;

/// <summary>What `hv` and the Linux guest say when they have come so far.</summary>
internal static partial class HvLines
{
    /// <summary>The primary has a standby in sync.</summary>
    [GeneratedRegex("^hv: Protected")]
    public static partial Regex Protected();

    /// <summary>The guest runs on this host.</summary>
    [GeneratedRegex("^hv: guest runs")]
    public static partial Regex Running();

    /// <summary>Another side runs the guest.</summary>
    [GeneratedRegex("^hv: Demoted")]
    public static partial Regex Demoted();

    /// <summary>The standby has won, and the other side still holds the lock of a shared disk.</summary>
    [GeneratedRegex("^hv: the guest waits: a shared disk")]
    public static partial Regex Waits();

    /// <summary>The standby takes a primary (group port).</summary>
    [GeneratedRegex(@"^hv: standby listens on port (?<port>\d+)")]
    public static partial Regex Listens();

    /// <summary>The Linux guest's init did its part.</summary>
    [GeneratedRegex("^BOOTED")]
    public static partial Regex Booted();

    /// <summary>The guest's services can be called.</summary>
    [GeneratedRegex("^NET-READY")]
    public static partial Regex Ready();

    /// <summary>The primary runs the guest without a standby, and may.</summary>
    [GeneratedRegex("^hv: Alone")]
    public static partial Regex Alone();

    /// <summary>etcd takes clients.</summary>
    [GeneratedRegex("ready to serve client requests|serving insecure client requests|serving client traffic")]
    public static partial Regex EtcdServes();

    /// <summary>
    /// At the end: how long the guest stood still per cut, in milliseconds (groups epochs, pages, p50, p99, max).
    /// </summary>
    [GeneratedRegex("pauses of (?<epochs>\\d+) epochs, (?<pages>\\d+) dirty pages each: p50 (?<p50>[\\d.]+) · "
        + "p99 (?<p99>[\\d.]+) · max (?<max>[\\d.]+) ms \\(p99: (?<parts>.*)\\)")]
    public static partial Regex Pauses();

    /// <summary>Now and then: an epoch, and the bytes sent so far (groups epoch, dirty, sent in MiB).</summary>
    [GeneratedRegex(@"^hv: epoch (?<epoch>\d+) · .* · dirty (?<dirty>\d+) pages · sent (?<sent>[0-9.]+) MiB")]
    public static partial Regex Epoch();

    /// <summary>What a primary's core calls its state; a reason may follow (group state).</summary>
    [GeneratedRegex(
        "^hv: (?<state>Alone|Waiting|Pairing|Copying|Syncing|Protected|Deciding|Ending|Ended|Demoted|Stopped)(:|$)")]
    public static partial Regex State();
}
