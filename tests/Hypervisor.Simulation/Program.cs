namespace Hypervisor.Simulation;

/// <summary>The simulator's command line.</summary>
internal static class Program
{
    private static int Main() => 2;
}
