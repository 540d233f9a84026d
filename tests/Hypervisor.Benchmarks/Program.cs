using System;

namespace Hypervisor.Benchmarks;

/// <summary>The benchmarks' command line.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        switch (args.Length > 0 ? args[0] : "")
        {
            case "epoch-pause":
                return EpochPauseBenchmark.Run(args.AsSpan(1));
            default:
                Console.Error.WriteLine("usage: Hypervisor.Benchmarks epoch-pause [dirty pages per epoch] [epochs]");
                return 2;
        }
    }
}
