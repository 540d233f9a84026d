namespace Hypervisor.Benchmarks;

/// <summary>The benchmarks's command line.</summary>
internal static class Program
{
    private static int Main() => 2;
}
