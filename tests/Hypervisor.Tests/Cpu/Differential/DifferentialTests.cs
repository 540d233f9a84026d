using System.Collections.Generic;
using Hypervisor.TestKit.Oracle;
using Xunit;

namespace Hypervisor.Tests.Cpu.Differential;

public sealed class DifferentialTests(ITestOutputHelper output)
{
    private const int Batches = 300; // 150,000 cases, a few seconds

    [Fact]
    public void Interpreter_agrees_with_the_host_on_random_user_mode_instructions()
    {
        int seed = DifferentialSeed.Take(output);
        using var campaign = new DifferentialCampaign();
        List<string> mismatches = [];

        for (int batch = 0; batch < Batches; batch++)
        {
            campaign.RunBatch(seed, batch, mismatches.Add);
        }

        Assert.True(campaign.CodeCount > 1500, $"only {campaign.CodeCount} encodings");
        Assert.True(mismatches.Count == 0, string.Join('\n', mismatches));
    }
}
