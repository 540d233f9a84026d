using System;
using System.Collections.Generic;
using System.Globalization;
using Hypervisor.TestKit.Oracle.Programs;
using Xunit;

namespace Hypervisor.Tests.Cpu.Differential;

public sealed class ProgramDifferentialTests(ITestOutputHelper output)
{
    private const int HostPrograms = 150; // some millions of instructions, a few seconds
    private const int StoppedPrograms = 40;

    [Fact]
    public void Interpreter_agrees_with_the_host_on_random_programs()
    {
        using ProgramCampaign campaign = ProgramCampaign.AgainstHost(Interpreter);

        List<string> mismatches = Run(campaign, HostPrograms);

        Assert.True(mismatches.Count == 0, string.Join('\n', mismatches));
        Assert.True(campaign.Ends.Count >= 3, "the programs all end alike");
        Assert.True(campaign.InstructionCount > 100_000, $"only {campaign.InstructionCount} instructions");
    }

    [Fact]
    public void Stops_between_blocks_change_no_result()
    {
        using ProgramCampaign campaign = ProgramCampaign.AgainstEngine(Interpreter, Interpreter);

        List<string> mismatches = Run(campaign, StoppedPrograms);

        Assert.True(mismatches.Count == 0, string.Join('\n', mismatches));
        Assert.True(campaign.StopCount > StoppedPrograms, $"only {campaign.StopCount} stops");
    }

    private static VcpuFactory Interpreter => ProgramEngine.Find("interpreter")!;

    private List<string> Run(ProgramCampaign campaign, int programs)
    {
        string? text = Environment.GetEnvironmentVariable("HV_DIFF_SEED");
        int seed = text is null ? Environment.ProcessId * 1000 : int.Parse(text, CultureInfo.InvariantCulture);
        output.WriteLine($"HV_DIFF_SEED={seed}");
        List<string> mismatches = [];
        for (int i = 0; i < programs; i++)
        {
            campaign.Run(seed + i, mismatches.Add);
        }

        return mismatches;
    }
}
