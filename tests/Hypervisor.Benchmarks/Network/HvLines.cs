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

    /// <summary>The standby takes a primary.</summary>
    [GeneratedRegex("^hv: standby listens")]
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
}
