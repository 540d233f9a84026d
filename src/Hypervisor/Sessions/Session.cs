using System;
using System.Threading;
using Hypervisor.Backends.Console;
using Hypervisor.Control;
using Hypervisor.Machine;

namespace Hypervisor.Sessions;

/// <summary>One guest on this host, without protection, until it ends or somebody ends it.</summary>
internal static class Session
{
    private const string Keys =
        "\r\nhv: Ctrl-A x ends the machine, Ctrl-A c shows its status, Ctrl-A Ctrl-A sends Ctrl-A\r\n";

    /// <summary>Runs the guest.</summary>
    /// <returns>
    /// The exit code: 0 after a power-off or an end from outside, the guest's own after a debug-exit.
    /// </returns>
    /// <param name="config">The machine.</param>
    /// <param name="showsStatistics">Whether to print what the engine did, at the end and to the error output.</param>
    /// <param name="watch">Where it is shown to the outside; null: nowhere.</param>
    public static int Run(MachineConfig config, bool showsStatistics = false, GuestWatch? watch = null)
    {
        using var ending = new AutoResetEvent(false);
        string reason = "";
        GuestMachine? started = null;
        void End(string why)
        {
            reason = why;
            Volatile.Read(ref started)?.RequestEnd(why); // pairs with the write below: signals come on other threads
        }

        using var guest = new GuestMachine(
            config with { CountsInstructions = showsStatistics }, SerialStreams.Open(config.Serials, Obey));
        using var signals = new EndSignals(End);
        Volatile.Write(ref started, guest);
        guest.Start();
        using IDisposable? shown = watch?.Show(guest);
        watch?.Tell(StatusKind.Running, "without a pair");
        GuestEnd end = guest.WaitForEnd(Timeout.InfiniteTimeSpan)!;
        watch?.Tell(StatusKind.Ended, end.Reason);
        if (showsStatistics)
        {
            System.Console.Error.Write(StatisticsText.Write(guest.InstructionCount, guest.Statistics));
        }

        return end.ExitCode;

        void Obey(EscapeCommand command)
        {
            switch (command)
            {
                case EscapeCommand.Quit:
                    End("Ctrl-A x");
                    break;
                case EscapeCommand.Status:
                    System.Console.Error.Write($"\r\nhv: {config.Name} runs\r\n");
                    break;
                case EscapeCommand.Help:
                    System.Console.Error.Write(Keys);
                    break;
            }
        }
    }
}
