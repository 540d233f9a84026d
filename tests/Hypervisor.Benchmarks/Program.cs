using System;
using Hypervisor.Benchmarks.Goals;
using Hypervisor.Benchmarks.Growth;
using Hypervisor.Benchmarks.Kit;
using Hypervisor.Benchmarks.Mutants;
using Hypervisor.Benchmarks.Network;
using Hypervisor.Benchmarks.Peers;
using Hypervisor.Benchmarks.Protection;
using Hypervisor.Benchmarks.Systemd;
using Hypervisor.Benchmarks.Takeovers;

namespace Hypervisor.Benchmarks;

/// <summary>The benchmarks' command line.</summary>
internal static class Program
{
    private static int Main(string[] words)
    {
        switch (words.Length > 0 ? words[0] : "")
        {
            case "database":
                return DatabaseProgram.Run(words.AsSpan(1));
            case "diff":
                return DifferentialProgram.Run(words.AsSpan(1));
            case "epoch-pause":
                return EpochPauseBenchmark.Run(words.AsSpan(1));
            case "goals":
                return GoalsProgram.Run(words.AsSpan(1));
            case "growth":
                return GrowthProgram.Run(words.AsSpan(1));
            case "kit":
                return KitProgram.Run(words.AsSpan(1));
            case "latency":
                return LatencyProgram.Run(words.AsSpan(1));
            case "linux-kill":
                return LinuxKillCampaign.Run(words.AsSpan(1));
            case "mutants":
                return MutantsProgram.Run(words.AsSpan(1));
            case "peers":
                return PeersProgram.Run(words.AsSpan(1));
            case "protected":
                return ProtectionProgram.Run(words.AsSpan(1));
            case "soak":
                return SoakProgram.Run(words.AsSpan(1));
            case "spine":
                return SpineBenchmark.Run(words.AsSpan(1));
            case "systemd":
                return SystemdProgram.Run(words.AsSpan(1));
            case "takeovers":
                return TakeoverProgram.Run(words.AsSpan(1));
            default:
                Console.Error.WriteLine(
                    "usage: database HV LINUX DATABASE ETCD ROOT [OPTIONS] | diff [--seed S] [--cases N] | "
                    + "diff --programs N [--seed S] [--engine E] [--against E] | "
                    + "epoch-pause [dirty pages] [epochs] | goals HV LINUX KIT ETCD ROOT [OPTIONS] | "
                    + "growth HV ROOT [OPTIONS] | kit HV KIT CACHE ROOT [OPTIONS] | "
                    + "latency HV FILES ROOT [--rounds N] | "
                    + "linux-kill HV FILES [COUNT] [SEED] | mutants ROOT [--rule KEY] | "
                    + "peers HV KIT FILES QEMU ROOT [OPTIONS] | protected HV CACHE ROOT [OPTIONS] | "
                    + "soak HV LINUX DATABASE ETCD ROOT [OPTIONS] | spine HV FILES [ROWS…] | "
                    + "systemd HV CACHE ROOT [--rounds N] | takeovers HV FILES ETCD ROOT [OPTIONS]");
                return 2;
        }
    }
}
