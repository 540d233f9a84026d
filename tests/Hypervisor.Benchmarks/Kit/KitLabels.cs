namespace Hypervisor.Benchmarks.Kit;

/// <summary>Names under which results are kept.</summary>
internal static class KitLabels
{
    /// <summary>The bare host.</summary>
    public const string Native = "native";

    /// <summary>QEMU TCG, machine pc.</summary>
    public const string Tcg = "pc";

    /// <summary>QEMU TCG, machine q35; it only boots.</summary>
    public const string TcgQ35 = "q35";

    /// <summary>This project.</summary>
    public const string Ours = "hv";

    /// <summary>Added for a run that only boots.</summary>
    public const string Boot = "-boot";

    /// <summary>Added for a run with two vCPUs.</summary>
    public const string Pair = "-par";
}
