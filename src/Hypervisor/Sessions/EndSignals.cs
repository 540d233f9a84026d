using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Hypervisor.Sessions;

/// <summary>Turns the signals that end a process into an orderly end of the guest.</summary>
internal sealed class EndSignals : IDisposable
{
    private readonly List<PosixSignalRegistration> _registrations = [];

    /// <summary>Calls <paramref name="onEnd"/> with the signal's name, on a thread of the runtime.</summary>
    public EndSignals(Action<string> onEnd)
    {
        foreach (PosixSignal signal in (ReadOnlySpan<PosixSignal>)
            [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT])
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true; // the session ends in order instead of the process at once
                onEnd(signal.ToString());
            }));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _registrations.ForEach(registration => registration.Dispose());
}
