using System;
using System.CommandLine;
using Hypervisor.Replication.Failover;

namespace Hypervisor.CommandLine;

/// <summary>The options that describe a pair, and their way into a <see cref="ProtectionConfig"/>.</summary>
internal static class ProtectionOptions
{
    private const string Auto = "auto";
    private const long StagingMin = 64 << 10; // the device state of a small machine

    private static readonly TimeSpan s_epochMin = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan s_epochMax = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_timeoutMin = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_timeoutMax = TimeSpan.FromMinutes(10);

    private static readonly TimeSpan s_pauseMin = TimeSpan.FromMicroseconds(100);
    private static readonly TimeSpan s_pauseMax = TimeSpan.FromSeconds(1);

    private static readonly Option<string> s_epoch = OptionShapes.One(
        "--epoch",
        "TIME|auto",
        "Time between two checkpoints, 1ms to 10s, or chosen within 1ms to 200ms by the budgets below "
        + "[default: 50ms].");

    private static readonly Option<string> s_maxOutputLatency = OptionShapes.One(
        "--max-output-latency",
        "TIME",
        "Longest time between two checkpoints while output waits, 1ms to 10s [default: 5ms].");

    private static readonly Option<string> s_maxPause = OptionShapes.One(
        "--max-pause",
        "TIME",
        "With --epoch auto: pauses that are longer, 100us to 1s, come less often [default: 5ms].");

    private static readonly Option<string> s_maxStaging = OptionShapes.One(
        "--max-staging",
        "SIZE",
        "With --epoch auto: what a checkpoint should send at most [default: a quarter of the standby's room].");

    private static readonly Option<string> s_compress = OptionShapes.One(
        "--compress",
        CompressText.Shape,
        "How a primary, or a standby once it is one, compresses what it sends; auto: the best that both hosts have, "
        + "zstd:1, lz4 or none [default: auto].");

    private static readonly Option<string> s_witness = OptionShapes.One(
        "--witness", "file:PATH|etcd:URL", "The record that decides who may run; both halves must reach it.");

    private static readonly Option<string> s_ack = OptionShapes.One(
        "--ack", "durable|memory", "Whether flushed writes are on the standby's disk before the guest hears of it "
        + "[default: durable].");

    private static readonly Option<string> s_onStandbyLoss = OptionShapes.One(
        "--on-standby-loss", "wait|stop|alone", "What the primary does when the standby is gone [default: alone].");

    private static readonly Option<string> s_onWitnessLoss = OptionShapes.One(
        "--on-witness-loss",
        "wait|stop",
        "What a side does that needs the witness and cannot reach it [default: wait].");

    private static readonly Option<string> s_lease = OptionShapes.One(
        "--lease", "TIME", "How long output is let out after the last acknowledgement [default: 600ms].");

    private static readonly Option<string> s_takeoverTimeout = OptionShapes.One(
        "--takeover-timeout",
        "TIME",
        "Silence after which the standby takes over; longer than --lease [default: 1s].");

    private static readonly Option[] s_all =
    [
        s_epoch, s_maxOutputLatency, s_maxPause, s_maxStaging, s_witness, s_ack, s_onStandbyLoss, s_onWitnessLoss,
        s_lease, s_takeoverTimeout, s_compress,
    ];

    /// <summary>Adds the options to a command.</summary>
    public static void AddTo(Command command)
    {
        foreach (Option option in s_all)
        {
            command.Add(option);
        }
    }

    /// <summary>Whether any of the options is given.</summary>
    public static bool AreGiven(ParseResult words)
        => Array.Exists(s_all, option => words.GetResult(option) is { Implicit: false });

    /// <summary>Parses and checks; <paramref name="witnessPath"/> stands in for a missing `--witness`.</summary>
    /// <exception cref="UsageException">The words are wrong.</exception>
    public static ProtectionConfig Read(ParseResult words, string? witnessPath = null)
    {
        var defaults = new ProtectionConfig { Witness = WitnessText.InFile("") };
        bool isAuto = words.GetValue(s_epoch) == Auto;
        RefuseBudgets(words, isAuto);
        var config = new ProtectionConfig
        {
            Witness = ReadWitness(words.GetValue(s_witness), witnessPath),
            IsEpochAuto = isAuto,
            Epoch = isAuto ? defaults.Epoch : ReadDuration(words, s_epoch, defaults.Epoch, s_epochMin, s_epochMax),
            MaxPause = ReadDuration(words, s_maxPause, defaults.MaxPause, s_pauseMin, s_pauseMax),
            MaxStagingBytes = ReadStaging(words.GetValue(s_maxStaging)),
            MaxOutputLatency = ReadDuration(
                words, s_maxOutputLatency, defaults.MaxOutputLatency, s_epochMin, s_epochMax),
            Lease = ReadDuration(words, s_lease, defaults.Lease, s_timeoutMin, s_timeoutMax),
            TakeoverTimeout = ReadDuration(
                words, s_takeoverTimeout, defaults.TakeoverTimeout, s_timeoutMin, s_timeoutMax),
            IsAckDurable = words.GetValue(s_ack) switch
            {
                null or "durable" => true,
                "memory" => false,
                string other => throw new UsageException($"--ack: '{other}' is not known; allowed: durable, memory"),
            },
            Compression = CompressText.Parse(s_compress.Name, words.GetValue(s_compress)),
            OnStandbyLoss = words.GetValue(s_onStandbyLoss) switch
            {
                null or "alone" => StandbyLossPolicy.Alone,
                "wait" => StandbyLossPolicy.Wait,
                "stop" => StandbyLossPolicy.Stop,
                string other => throw new UsageException(
                    $"--on-standby-loss: '{other}' is not known; allowed: wait, stop, alone"),
            },
            OnWitnessLoss = words.GetValue(s_onWitnessLoss) switch
            {
                null or "wait" => WitnessPolicy.Wait,
                "stop" => WitnessPolicy.Stop,
                string other => throw new UsageException(
                    $"--on-witness-loss: '{other}' is not known; allowed: wait, stop"),
            },
        };
        return config.Lease < config.TakeoverTimeout ? config : throw new UsageException(
            $"--lease: {DurationText.Write(config.Lease)} is not shorter than --takeover-timeout "
            + $"{DurationText.Write(config.TakeoverTimeout)}; allowed: a shorter one, or both could speak at once");
    }

    /// <summary>Writes the options as words, such that <see cref="Read"/> reads them back.</summary>
    public static string[] Write(ProtectionConfig config) =>
    [
        s_witness.Name, config.Witness.Text,
        .. WriteEpoch(config),
        s_maxOutputLatency.Name, DurationText.Write(config.MaxOutputLatency),
        s_lease.Name, DurationText.Write(config.Lease),
        s_takeoverTimeout.Name, DurationText.Write(config.TakeoverTimeout),
        s_ack.Name, config.IsAckDurable ? "durable" : "memory",
        s_compress.Name, CompressText.Write(config.Compression),
        s_onStandbyLoss.Name, config.OnStandbyLoss switch
        {
            StandbyLossPolicy.Alone => "alone",
            StandbyLossPolicy.Wait => "wait",
            StandbyLossPolicy.Stop => "stop",
        },
        s_onWitnessLoss.Name, config.OnWitnessLoss switch
        {
            WitnessPolicy.Wait => "wait",
            WitnessPolicy.Stop => "stop",
        },
    ];

    private static string[] WriteEpoch(ProtectionConfig config)
    {
        if (!config.IsEpochAuto)
        {
            return [s_epoch.Name, DurationText.Write(config.Epoch)];
        }

        string[] words = [s_epoch.Name, Auto, s_maxPause.Name, DurationText.Write(config.MaxPause)];
        return config.MaxStagingBytes == 0
            ? words : [.. words, s_maxStaging.Name, SizeText.Write(config.MaxStagingBytes)];
    }

    private static void RefuseBudgets(ParseResult words, bool isAuto)
    {
        foreach (Option<string> budget in (Option<string>[])[s_maxPause, s_maxStaging])
        {
            if (!isAuto && words.GetValue(budget) is not null)
            {
                throw new UsageException($"{budget.Name}: the time is fixed; allowed: with --epoch auto");
            }
        }
    }

    private static long ReadStaging(string? text)
    {
        long bytes = text is null ? 0 : SizeText.Parse(s_maxStaging.Name, text);
        return text is null || bytes >= StagingMin ? bytes : throw new UsageException(
            $"--max-staging: '{text}' is too little; allowed: {SizeText.Write(StagingMin)} and more");
    }

    private static WitnessText ReadWitness(string? text, string? otherwise)
    {
        if (text is not null)
        {
            return WitnessText.Parse(s_witness.Name, text);
        }

        return otherwise is not null ? WitnessText.InFile(otherwise) : throw new UsageException(
            "--witness: a pair needs one, or two guests could run at once; allowed: file:PATH, etcd:URL");
    }

    private static TimeSpan ReadDuration(
        ParseResult words, Option<string> option, TimeSpan otherwise, TimeSpan shortest, TimeSpan longest)
        => words.GetValue(option) is { } text ? DurationText.Parse(option.Name, text, shortest, longest) : otherwise;
}
