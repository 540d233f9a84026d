using System;

namespace Hypervisor.Benchmarks;

/// <summary>The benchmarks's command line.</summary>
internal static class Program
{
    private static int Main(string[] arguments)
        => arguments is ["diff", ..] ? DifferentialProgram.Run(arguments.AsSpan(1)) : 2;
}
