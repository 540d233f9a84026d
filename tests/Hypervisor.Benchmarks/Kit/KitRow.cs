namespace Hypervisor.Benchmarks.Kit;

/// <summary>One benchmark of one run.</summary>
/// <param name="Name">The benchmark.</param>
/// <param name="Seconds">How long it took by the host's clock; NaN when the host read the console too late.</param>
/// <param name="CpuSeconds">Processor time that the guest's process, or the benchmark itself, used; or NaN.</param>
/// <param name="Foreign">How many processors other programs kept busy meanwhile.</param>
/// <param name="ExitCode">Empty or 0 when all went well.</param>
/// <param name="Checksum">Of what was computed; empty where there is none.</param>
internal sealed record KitRow(
    string Name, double Seconds, double CpuSeconds, double Foreign, string ExitCode, string Checksum);
