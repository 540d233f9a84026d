using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;

namespace Hypervisor.Core.Host;

/// <summary>
/// Puts the terminal on standard input into raw mode, and back. Spec: POSIX termios.h, Linux termios(3).
/// </summary>
/// <remarks>Restores at <see cref="Dispose"/>, at the end of the process, and when a signal ends it.</remarks>
public sealed unsafe partial class HostTerminal : IDisposable
{
    private const int StandardInput = 0;
    private const int ApplyAfterOutput = 1; // TCSADRAIN
    private const uint TranslateInput = 0x5EB; // c_iflag: IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON
    private const uint EchoAndLines = 0x804B; // c_lflag: ISIG ICANON ECHO ECHONL IEXTEN

    private const PosixSignal Continued = (PosixSignal)18; // SIGCONT; the named value counts as not on every platform

    private static readonly PosixSignal[] s_signals =
        [PosixSignal.SIGHUP, PosixSignal.SIGINT, PosixSignal.SIGQUIT, PosixSignal.SIGTERM];

    private readonly TerminalSettings _before;
    private readonly TerminalSettings _raw;
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _isRestored;

    private HostTerminal(TerminalSettings before)
    {
        _before = before;
        _raw = before;
        _raw.InputFlags &= ~TranslateInput;
        _raw.LocalFlags &= ~EchoAndLines; // output flags stay: our own lines end in \n alone
        _raw.Control[TerminalSettings.ReadAtLeast] = 1;
        _raw.Control[TerminalSettings.ReadTimeout] = 0;
        Apply(_raw);
        AppDomain.CurrentDomain.ProcessExit += OnExit;
        foreach (PosixSignal signal in s_signals)
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, _ => Restore()));
        }

        // After a stop the shell has set the terminal its own way.
        _registrations.Add(PosixSignalRegistration.Create(Continued, _ => OnContinued()));
    }

    /// <summary>Enters raw mode; null when standard input is no terminal.</summary>
    public static HostTerminal? TryEnterRaw()
    {
        TerminalSettings settings = default;
        return IsTerminal(StandardInput) == 1 && GetSettings(StandardInput, &settings) == 0
            ? new HostTerminal(settings)
            : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Restore();
        AppDomain.CurrentDomain.ProcessExit -= OnExit;
        foreach (PosixSignalRegistration registration in _registrations)
        {
            registration.Dispose();
        }
    }

    private static void Apply(TerminalSettings settings) => _ = SetSettings(StandardInput, ApplyAfterOutput, &settings);

    private void OnExit(object? sender, EventArgs e) => Restore();

    private void OnContinued()
    {
        if (Volatile.Read(ref _isRestored) == 0) // pairs with the exchange in Restore
        {
            Apply(_raw);
        }
    }

    private void Restore()
    {
        // Exchange: the exit of the process and a signal may meet here.
        if (Interlocked.Exchange(ref _isRestored, 1) == 0)
        {
            Apply(_before);
        }
    }

    [LibraryImport("libc", EntryPoint = "isatty")]
    private static partial int IsTerminal(int file);

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int GetSettings(int file, TerminalSettings* settings);

    [LibraryImport("libc", EntryPoint = "tcsetattr")]
    private static partial int SetSettings(int file, int when, TerminalSettings* settings);

    /// <summary>`struct termios` of glibc and musl on x86-64: 60 bytes.</summary>
    private struct TerminalSettings
    {
        public const int ReadTimeout = 1 + 5; // index in Control: c_line, then c_cc[VTIME]
        public const int ReadAtLeast = 1 + 6; // c_cc[VMIN]

        public uint InputFlags;
        public uint OutputFlags;
        public uint ControlFlags;
        public uint LocalFlags;
        public fixed byte Control[33]; // c_line and c_cc
        public uint InputSpeed;
        public uint OutputSpeed;
    }
}
