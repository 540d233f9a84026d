using System;
using System.IO;
using Hypervisor.Backends.Block;
using Hypervisor.Machine;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Wire;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class PairFolderTests : IDisposable
{
    private const int DiskBytes = 1 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("hv-pair-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    public void Rule_44_primary_forgets_its_marks_when_somebody_else_wrote_to_its_disks(int minutesLater, int points)
    {
        string image = Path.Combine(_folder, "image");
        File.WriteAllBytes(image, new byte[DiskBytes]);
        string state = Directory.CreateDirectory(Path.Combine(_folder, "state")).FullName;
        string path = Path.Combine(state, "intent.0");
        using (var before = new WriteIntentLog(path, DiskBytes))
        {
            before.Begin(new ReplicaPoint(7, 0));
        }

        File.SetLastWriteTimeUtc(image, File.GetLastWriteTimeUtc(path).AddMinutes(minutesLater));
        using var log = new WriteIntentLog(path, DiskBytes);
        Assert.Single(log.Points);

        PairFolder.BecomePrimary(
            new MachineConfig { Drives = [new DriveOptions(image) { Id = "a" }] }, state, [log]);

        Assert.Equal(points, log.Points.Count);
    }
}
