using System;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

public sealed class EtcdWitnessTests : IDisposable
{
    private const string Key = "hypervisor/test";

    // On a host where other tests keep both processors busy an answer takes seconds.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_moment = TimeSpan.FromSeconds(0.5);

    private readonly EtcdGateway _gateway = new();
    private readonly Guid _pair = Guid.NewGuid();

    public void Dispose() => _gateway.Dispose();

    [Fact]
    public void Rule_27_swap_needs_the_record_that_is_there()
    {
        using var witness = new EtcdWitness(new EtcdAddress([_gateway.Uri], Key), s_patience);
        WitnessContract.CheckSwaps(witness, _pair);

        Assert.Equal(Key, Encoding.UTF8.GetString(Convert.FromBase64String(_gateway.LastKey!)));
    }

    [Fact]
    public void Real_etcd_swaps_likewise_and_one_of_many_wins()
    {
        string? program = FindEtcd();
        Assert.SkipWhen(program is null, "no etcd in PATH or .cache/etcd: run ./run.sh test, which fetches it");
        string folder = Directory.CreateTempSubdirectory("hv-etcd-").FullName;
        var client = new Uri($"http://127.0.0.1:{EtcdGateway.FreePort()}/");
        string peer = $"http://127.0.0.1:{EtcdGateway.FreePort()}";
        using var etcd = Process.Start(new ProcessStartInfo(
            program!,
            [
                "--data-dir", folder, "--listen-client-urls", client.ToString().TrimEnd('/'),
                "--advertise-client-urls", client.ToString().TrimEnd('/'), "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer, "--initial-cluster", $"default={peer}",
            ])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        })!;
        try
        {
            etcd.ErrorDataReceived += (_, _) => { };
            etcd.BeginErrorReadLine();
            using var witness = new EtcdWitness(new EtcdAddress([client], Key), s_patience);
            Stopwatch waited = Stopwatch.StartNew();
            while (!witness.TryRead(out _) && waited.Elapsed < TimeSpan.FromSeconds(30))
            {
                Thread.Sleep(50);
            }

            WitnessContract.CheckSwaps(witness, _pair);
            Assert.Equal(WitnessContract.Rounds, WitnessContract.CountWins(
                () => new EtcdWitness(new EtcdAddress([client], Key + "/race"), s_patience), _pair));
        }
        finally
        {
            etcd.Kill();
            etcd.WaitForExit();
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData(EtcdGateway.Fault.ServiceUnavailable, "503")]
    [InlineData(EtcdGateway.Fault.Silence, "no answer in time")]
    [InlineData(EtcdGateway.Fault.Garbage, "")]
    [InlineData(EtcdGateway.Fault.EmptyObject, "not an answer of etcd")]
    [InlineData(EtcdGateway.Fault.Endless, "65536")]
    [InlineData(EtcdGateway.Fault.SucceededAsText, "")]
    [InlineData(EtcdGateway.Fault.SucceededAsNumber, "")]
    [InlineData(EtcdGateway.Fault.SucceededWithoutHeader, "not an answer of etcd")]
    [InlineData(EtcdGateway.Fault.ConflictWithoutResponses, "")]
    [InlineData(EtcdGateway.Fault.ShortRecord, "91 bytes")]
    internal void Rule_27_what_is_no_answer_is_unreachable_in_time(EtcdGateway.Fault fault, string why)
    {
        using var witness = new EtcdWitness(
            new EtcdAddress([_gateway.Uri], Key), fault == EtcdGateway.Fault.Silence ? s_moment : s_patience);
        _gateway.Failure = fault;

        WitnessAnswer answer = ((IWitness)witness).Ask(new WitnessRequest(7, null, Record(1)));

        Assert.Equal(new WitnessAnswer(7, WitnessOutcome.Unreachable, null), answer);
        Assert.Contains(why, witness.LastError, StringComparison.Ordinal);
        Assert.Contains(_gateway.Uri.ToString(), witness.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public void Swap_whose_answer_was_lost_shows_as_a_conflict_with_what_was_desired()
    {
        using var witness = new EtcdWitness(new EtcdAddress([_gateway.Uri], Key), TimeSpan.FromSeconds(10));
        _gateway.Failure = EtcdGateway.Fault.SilenceAfterSwap;
        WitnessRecord desired = Record(1);

        Assert.Equal(
            WitnessOutcome.Unreachable, ((IWitness)witness).Ask(new WitnessRequest(1, null, desired)).Outcome);
        _gateway.Failure = EtcdGateway.Fault.None;

        // The connection of the lost answer may be broken and take another question with it: the core asks again, too.
        const int AttemptsMax = 10;
        WitnessAnswer answer;
        int attempts = 0;
        do
        {
            answer = ((IWitness)witness).Ask(new WitnessRequest(2, null, desired));
        }
        while (answer.Outcome == WitnessOutcome.Unreachable && ++attempts < AttemptsMax);

        Assert.Equal(new WitnessAnswer(2, WitnessOutcome.Conflict, desired), answer);
    }

    [Fact]
    public void Another_member_answers_when_the_first_is_away()
    {
        var away = new Uri($"http://127.0.0.1:{EtcdGateway.FreePort()}/");
        using var witness = new EtcdWitness(new EtcdAddress([away, _gateway.Uri], Key), s_patience);

        WitnessContract.CheckSwaps(witness, _pair);
    }

    [Fact]
    public void Token_that_ran_out_is_replaced_and_a_wrong_password_is_said()
    {
        _gateway.NeedsLogin = true;
        using var witness = new EtcdWitness(
            new EtcdAddress([_gateway.Uri], Key) { User = "hv", Password = EtcdGateway.Password }, s_patience);
        using var stranger = new EtcdWitness(
            new EtcdAddress([_gateway.Uri], Key) { User = "hv", Password = "guess" }, s_patience);

        WitnessContract.CheckSwaps(witness, _pair);
        _gateway.ForgetTokens();
        Assert.True(witness.TryRead(out WitnessRecord? record));
        Assert.Equal(Record(2), record);
        Assert.False(stranger.TryRead(out _));
        Assert.Contains("400", stranger.LastError, StringComparison.Ordinal);
    }

    private WitnessRecord Record(ulong revision) => WitnessContract.Record(_pair, revision);

    private static string? FindEtcd()
    {
        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'))
        {
            if (File.Exists(Path.Combine(folder, "etcd")))
            {
                return Path.Combine(folder, "etcd");
            }
        }

        string? cache = Environment.GetEnvironmentVariable("HV_CACHE");
        string cached = Path.Combine(cache ?? "", "etcd", "usr", "bin", "etcd");
        return cache is not null && File.Exists(cached) ? cached : null;
    }
}
