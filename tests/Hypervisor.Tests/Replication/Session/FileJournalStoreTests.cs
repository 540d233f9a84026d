using System;
using System.IO;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

public sealed class FileJournalStoreTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hv-journal-").FullName;

    private string JournalPath => Path.Combine(_folder, "journal.0");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Bytes_are_there_after_it_is_opened_again()
    {
        using (var store = new FileJournalStore(JournalPath))
        {
            store.Append([1, 2, 3]);
            store.Append([4, 5]);
            store.Barrier();
        }

        using var again = new FileJournalStore(JournalPath);
        byte[] read = new byte[3];
        again.Read(1, read);
        Assert.Equal(5, again.LengthBytes);
        Assert.Equal([2, 3, 4], read);
    }

    [Fact]
    public void Truncate_cuts_off_the_end_and_appends_go_on_from_there()
    {
        using var store = new FileJournalStore(JournalPath);
        store.Append([1, 2, 3]);

        store.Truncate(1);
        store.Append([9]);

        byte[] read = new byte[2];
        store.Read(0, read);
        Assert.Equal([1, 9], read);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, 4)]
    [InlineData(3, 1)]
    [InlineData(long.MaxValue, 1)]
    public void Range_outside_is_refused(long offset, int length)
    {
        using var store = new FileJournalStore(JournalPath);
        store.Append([1, 2, 3]);

        Assert.Throws<IOException>(() => store.Read(offset, new byte[length]));
    }

    [Fact]
    public void Second_process_cannot_open_it()
    {
        using var store = new FileJournalStore(JournalPath);

        Assert.Throws<IOException>(() => new FileJournalStore(JournalPath));
    }

    [Fact]
    public void Full_disk_is_reported_and_leaves_the_length()
    {
        // The kernel's own full device: every write ends with ENOSPC.
        File.CreateSymbolicLink(JournalPath, "/dev/full");
        using var store = new FileJournalStore(JournalPath);

        IOException failure = Assert.Throws<IOException>(() => store.Append(new byte[10]));

        Assert.Contains("No space left", failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, store.LengthBytes);
    }

    [Fact]
    public void Mark_survives_and_damage_is_refused()
    {
        string path = Path.Combine(_folder, "mark");
        var mark = new StandbyMark(StandbyPhase.Promoted, 8, new ReplicaPoint(7, 9));
        Assert.Null(StandbyMark.Load(path));

        mark.Store(path);

        Assert.Equal(mark, StandbyMark.Load(path));
        byte[] bytes = File.ReadAllBytes(path);
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            byte[] damaged = (byte[])bytes.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(path, damaged);
            Assert.Throws<IOException>(() => StandbyMark.Load(path));
        }
    }
}
