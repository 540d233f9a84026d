namespace Hypervisor;

/// <summary>The executable `hv`.</summary>
internal static class Program
{
    private static int Main() => 2;
}
