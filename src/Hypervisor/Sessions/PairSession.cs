using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.CommandLine;
using Hypervisor.Core.Time;

namespace Hypervisor.Sessions;

/// <summary>
/// Both halves of a pair as processes of this host, watched from outside: what they print is what clients see.
/// </summary>
internal sealed class PairSession : IDisposable
{
    private const int PollMillis = 5;
    private static readonly TimeSpan s_startPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_endPatience = TimeSpan.FromSeconds(30);

    private readonly PairConfig _config;
    private readonly HostClock _clock = new();
    private readonly PairDrill _drill;
    private readonly PairView _view;
    private readonly StepSequence _steps = new();
    private readonly ConsoleStitch _console;
    private readonly Stream _screen = Console.OpenStandardOutput();
    private readonly TaskCompletionSource<int> _standbyPort = new();
    private readonly EndSignals _signals;

    // Protects the drill, the view, the steps and the console: two children report on two threads each.
    private readonly Lock _lock = new();
    private PairChild? _primary;
    private PairChild? _standby;
    private long _stepAtKill = -1;

    private PairSession(PairConfig config)
    {
        _config = config;
        _drill = new PairDrill(config.KillPrimaryAfter, config.StopAfterTakeover);
        _view = new PairView(Console.Error, isTerminal: !Console.IsErrorRedirected);
        _console = new ConsoleStitch(Show);
        _signals = new EndSignals(_ => RequestEnd());
    }

    /// <summary>Runs the pair until it ends.</summary>
    /// <returns>0 when every proof holds.</returns>
    public static int Run(PairConfig config)
    {
        using var session = new PairSession(config);
        session.StartBoth();
        bool hasFinished = session.Watch();
        return session.Conclude(hasFinished);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _signals.Dispose();
        _primary?.Dispose();
        _standby?.Dispose();
        _view.Dispose();
        _screen.Dispose();
    }

    private void StartBoth()
    {
        string[] protection = ProtectionOptions.Write(_config.Protection);
        List<string> standby = MachineOptions.Write(
            _config.Machine with { Drives = _config.StandbyDrives, Networks = _config.StandbyNetworks },
            isStandby: true);
        List<string> primary = MachineOptions.Write(_config.Machine, isStandby: false);

        _standby = new PairChild(
            "standby",
            ["standby", "--listen", "127.0.0.1:0", .. standby, .. protection],
            OnStandbyConsole,
            status => OnStatus(true, status));
        int port = WaitForPort();
        _primary = new PairChild(
            "primary",
            ["run", "--standby", $"127.0.0.1:{port}", .. primary, .. protection],
            OnPrimaryConsole,
            status => OnStatus(false, status));
        _view.Say($"primary is process {_primary.Id}, standby is process {_standby.Id}, both on this host (a drill)");
        var keyboard = new Thread(ReadKeyboard) { Name = "keyboard", IsBackground = true };
        keyboard.Start();
    }

    private int WaitForPort()
    {
        long startNanos = _clock.NowNanos;
        while (!_standbyPort.Task.Wait(PollMillis))
        {
            if (_standby!.HasEnded || HasPassed(startNanos, s_startPatience))
            {
                throw new FailureException("pair: the standby did not start; its own line above says why");
            }
        }

        return _standbyPort.Task.Result;
    }

    /// <summary>Does what the drill wants, until both are over.</summary>
    /// <returns>Whether it came to its end.</returns>
    private bool Watch()
    {
        using var pace = new ManualResetEventSlim(false);
        while (true)
        {
            PairAction action;
            lock (_lock)
            {
                action = _drill.Next(_clock.NowNanos, _primary!.HasEnded, _standby!.HasEnded);
            }

            switch (action)
            {
                case PairAction.Wait:
                    pace.Wait(PollMillis);
                    break;
                case PairAction.KillPrimary:
                    KillPrimary();
                    break;
                case PairAction.EndStandby:
                    _standby.RequestEnd();
                    break;
                case PairAction.GiveUp:
                    return false;
                case PairAction.Finish:
                    return _primary.WaitForEnd(s_endPatience) && _standby.WaitForEnd(s_endPatience);
            }
        }
    }

    private void KillPrimary()
    {
        lock (_lock)
        {
            _stepAtKill = _steps.LastStep;
            _drill.OnKilled(_clock.NowNanos);
            _primary!.Kill();
            _view.Say($"SIGKILL to process {_primary.Id}");
        }
    }

    private int Conclude(bool hasFinished)
    {
        lock (_lock)
        {
            _view.EndStatus();
            var summary = new PairSummary(_config, _drill, _console, _steps, _stepAtKill)
            {
                HasFinished = hasFinished,
                StandbyExitCode = _standby!.HasEnded ? _standby.ExitCode : null,
                PrimaryExitCode = _primary!.HasEnded ? _primary.ExitCode : null,
            };
            bool isGood = summary.Write(Console.Out);
            if (isGood && _config.ScratchFolder is not null)
            {
                Directory.Delete(_config.ScratchFolder, recursive: true);
            }
            else if (!isGood)
            {
                throw new FailureException($"pair: not all of it holds; disks are kept in {_config.ScratchFolder}");
            }

            return ExitCode.Success;
        }
    }

    private void OnStatus(bool isStandby, StatusEvent status)
    {
        if (status.Kind == StatusKind.Listening && isStandby)
        {
            _standbyPort.TrySetResult(status.Port);
        }

        lock (_lock)
        {
            _drill.OnStatus(isStandby, status);
            if (status.Kind == StatusKind.Takeover && isStandby)
            {
                _console.OnTakeover(status.ConsoleBytes);
            }

            _view.OnStatus(isStandby, status, _steps.LastStep);
        }
    }

    private void OnPrimaryConsole(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (bytes.IsEmpty)
            {
                _console.OnPrimaryEnded();
            }
            else
            {
                _console.OnPrimary(bytes);
            }
        }
    }

    private void OnStandbyConsole(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            _console.OnStandby(bytes);
        }
    }

    private void Show(ReadOnlySpan<byte> bytes)
    {
        _steps.OnOutput(bytes);
        if (!_config.HasSteps)
        {
            _screen.Write(bytes);
        }
    }

    private void ReadKeyboard()
    {
        byte[] typed = new byte[1024];
        using Stream keyboard = Console.OpenStandardInput();
        int length;
        while ((length = keyboard.Read(typed)) > 0)
        {
            try
            {
                PairChild live = _primary!.HasEnded ? _standby! : _primary;
                live.Keyboard.Write(typed, 0, length);
                live.Keyboard.Flush();
            }
            catch (IOException)
            {
                // That half just died; what was typed into it died with it.
            }
        }
    }

    private void RequestEnd()
    {
        PairChild? live = _primary is { HasEnded: false } ? _primary : _standby;
        live?.RequestEnd();
    }

    private bool HasPassed(long sinceNanos, TimeSpan patience)
        => _clock.NowNanos - sinceNanos > patience.Ticks * TimeSpan.NanosecondsPerTick;
}
