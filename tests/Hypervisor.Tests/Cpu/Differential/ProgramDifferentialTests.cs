using System.Collections.Generic;
using Hypervisor.TestKit.Oracle.Programs;
using Xunit;

namespace Hypervisor.Tests.Cpu.Differential;

public sealed class ProgramDifferentialTests(ITestOutputHelper output)
{
    private const int HostPrograms = 150; // some millions of instructions, a few seconds
    private const int StoppedPrograms = 40;

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    [InlineData("translator-without-loop")]
    public void Engine_agrees_with_the_host_on_random_programs(string engine)
    {
        using ProgramCampaign campaign = ProgramCampaign.AgainstHost(ProgramEngine.Find(engine)!);

        List<string> mismatches = Run(campaign, HostPrograms);

        Assert.True(mismatches.Count == 0, string.Join('\n', mismatches));
        Assert.True(campaign.Ends.Count >= 3, "the programs all end alike");
        Assert.True(campaign.InstructionCount > 100_000, $"only {campaign.InstructionCount} instructions");
    }

    [Theory]
    [InlineData(ProgramKind.Flat32)]
    [InlineData(ProgramKind.Based32)]
    [InlineData(ProgramKind.Protected16)]
    public void Translator_agrees_with_the_host_on_code_of_16_and_32_bits(ProgramKind kind)
    {
        using ProgramCampaign campaign = ProgramCampaign.AgainstHost(ProgramEngine.Find("translator")!, kind);

        List<string> mismatches = Run(campaign, HostPrograms);

        Assert.True(mismatches.Count == 0, string.Join('\n', mismatches));
        Assert.True(campaign.InstructionCount > 100_000, $"only {campaign.InstructionCount} instructions");
    }

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void Stops_between_blocks_change_no_result(string engine)
    {
        using ProgramCampaign campaign = ProgramCampaign.AgainstEngine(
            ProgramEngine.Find(engine)!, ProgramEngine.Find("interpreter")!);

        List<string> mismatches = Run(campaign, StoppedPrograms);

        Assert.True(mismatches.Count == 0, string.Join('\n', mismatches));
        Assert.True(campaign.StopCount > 10, $"only {campaign.StopCount} stops");
    }

    [Theory]
    [InlineData(ProgramKind.Flat32, "translator")]
    [InlineData(ProgramKind.Flat32, "translator-without-loop")]
    [InlineData(ProgramKind.Based32, "translator")]
    [InlineData(ProgramKind.Protected16, "translator")]
    [InlineData(ProgramKind.Real16, "translator")]
    public void Engines_agree_on_code_of_16_and_32_bits(ProgramKind kind, string engine)
    {
        using ProgramCampaign campaign = ProgramCampaign.AgainstEngine(
            ProgramEngine.Find(engine)!, ProgramEngine.Find("interpreter")!, kind);

        List<string> mismatches = Run(campaign, StoppedPrograms);

        Assert.True(mismatches.Count == 0, string.Join('\n', mismatches));
        Assert.True(campaign.InstructionCount > 100_000, $"only {campaign.InstructionCount} instructions");
    }

    private List<string> Run(ProgramCampaign campaign, int programs)
    {
        int seed = DifferentialSeed.Take(output);
        List<string> mismatches = [];
        for (int i = 0; i < programs; i++)
        {
            campaign.Run(seed + i, mismatches.Add);
        }

        return mismatches;
    }
}
