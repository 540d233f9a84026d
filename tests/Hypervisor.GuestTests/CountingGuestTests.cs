using Hypervisor.Guest;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;
using Xunit;

namespace Hypervisor.GuestTests;

public sealed class CountingGuestTests
{
    private const int DiskBytes = StepRecord.Bytes * StepRecord.SlotsDefault;

    [Fact]
    public void Every_step_of_a_paced_run_is_on_both_disks()
    {
        using var folder = new TestFolder();
        string[] disks = [folder.Image("a.img", new byte[DiskBytes]), folder.Image("b.img", new byte[DiskBytes])];
        var boot = new BootRequest
        {
            Kernel = BootFile.FromBytes("kernel", "counting guest", CountingGuest.Build()),
            CommandLine = "steps=150 pace=2000",
        };

        (MachineEnd end, string console) = GuestRun.ToEnd(boot, disks);

        Assert.EndsWith("step 150\ndone\n", console.ReplaceLineEndings("\n"));
        Assert.Equal(new MachineEnd(MachineEndKind.DebugExit, 1), end);
        for (uint i = 0; i < disks.Length; i++)
        {
            var check = RecordCheck.OfFile(disks[i], i);
            Assert.Null(check.Fault);
            Assert.Equal(150UL, check.HighestStep);
        }
    }
}
