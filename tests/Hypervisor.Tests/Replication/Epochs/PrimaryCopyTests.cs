using System;
using Hypervisor.Backends.Block;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

/// <summary>A full copy that compares first: what the standby answers decides what is sent.</summary>
public sealed class PrimaryCopyTests
{
    private static readonly DiskRange s_first = new(0, 0, 512);
    private static readonly DiskRange s_second = new(0, 512, 512);

    [Fact]
    public void Rule_38_answer_of_the_standby_decides_what_is_copied()
    {
        RecordedPrimary primary = Copying();
        Compare(primary, s_first);
        Compare(primary, s_second);

        Answer(primary, s_first, isSame: true);
        Answer(primary, s_second, isSame: false);

        Assert.Contains($"compared {s_first} True", primary.Log);
        Assert.Contains($"compared {s_second} False", primary.Log);
        Assert.Equal(PrimaryState.Copying, primary.Core.State);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Answer_to_what_was_not_asked_ends_the_copy(bool isAsked)
    {
        RecordedPrimary primary = Copying();
        if (isAsked)
        {
            Compare(primary, s_first);
        }

        Answer(primary, s_second, isSame: true);

        Assert.Equal(PrimaryState.Alone, primary.Core.State);
        Assert.Contains("standby answers for", primary.Core.Reason, StringComparison.Ordinal);
        Assert.DoesNotContain(primary.Log, line => line.StartsWith("compared", StringComparison.Ordinal));
    }

    [Fact]
    public void What_was_written_during_the_copy_does_not_hold_the_guest_for_ever()
    {
        RecordedPrimary primary = Copying();
        var write = new DiskWriteMessage
        {
            Disk = 0,
            Operation = BlockOperation.Write,
            OffsetBytes = 0,
            LengthBytes = 2 << 20, // of a standby that holds 4 MiB
        };
        write.Attach(new byte[2 << 20], null);
        primary.Core.OnDiskWrite(write, primary.Now);
        primary.Core.OnCopyConverged(primary.Now);
        primary.Core.OnCutTaken(0, primary.Now);
        primary.Core.OnCaptured(new SectionMessage(), primary.Now);

        Assert.DoesNotContain("hold", primary.Log);
    }

    [Fact]
    public void Answers_of_an_earlier_copy_do_not_count()
    {
        RecordedPrimary primary = Copying();
        Compare(primary, s_first);
        primary.Core.OnLinkLost("cut", primary.Now);
        primary.Core.OnConnected(RecordedPrimary.Incarnation + 1, primary.Now);
        WelcomeMessage welcome = RecordedPrimary.Welcome();
        welcome.Incarnation = RecordedPrimary.Incarnation + 1;
        primary.Core.OnMessage(welcome, primary.Now);
        Assert.Equal(PrimaryState.Copying, primary.Core.State);

        primary.Core.OnMessage(
            new DiskAnswerMessage { Range = s_first, IsSame = true, Incarnation = RecordedPrimary.Incarnation + 1 },
            primary.Now);

        Assert.Equal(PrimaryState.Alone, primary.Core.State);
    }

    private static RecordedPrimary Copying()
    {
        RecordedPrimary primary = new RecordedPrimary().Start();
        primary.Core.OnConnected(RecordedPrimary.Incarnation, primary.Now);
        primary.Core.OnMessage(RecordedPrimary.Welcome(), primary.Now);
        Assert.Equal(PrimaryState.Copying, primary.Core.State);
        return primary;
    }

    private static void Compare(RecordedPrimary primary, DiskRange range) => primary.Core.OnCopied(
        new DiskDigestMessage
        {
            Range = range,
            Digest = new byte[32],
        },
        primary.Now);

    private static void Answer(RecordedPrimary primary, DiskRange range, bool isSame) => primary.Core.OnMessage(
        new DiskAnswerMessage { Range = range, IsSame = isSame, Incarnation = RecordedPrimary.Incarnation },
        primary.Now);
}
