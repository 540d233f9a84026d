using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Hypervisor.Backends.Console;
using Hypervisor.CommandLine;
using Hypervisor.Machine;

namespace Hypervisor.Sessions;

/// <summary>A machine as a session sees it: started, waited for, ended.</summary>
internal sealed class GuestMachine : IDisposable
{
    private readonly IReadOnlyList<IByteStream> _serials;
    private readonly TaskCompletionSource<GuestEnd> _end = new();

    /// <summary>Assembles the machine; owns <paramref name="serials"/>.</summary>
    /// <exception cref="FailureException">The machine cannot be assembled.</exception>
    public GuestMachine(MachineConfig config, IReadOnlyList<IByteStream> serials)
    {
        _serials = serials;
        throw new FailureException($"{config.Name}: this build has no machine to run it on");
    }

    /// <summary>Lets the guest run.</summary>
    public void Start()
    {
        foreach (IByteStream serial in _serials)
        {
            serial.Start();
        }
    }

    /// <summary>Waits for the end of the guest.</summary>
    /// <returns>How it ended; null when it still runs after <paramref name="patience"/>.</returns>
    public GuestEnd? WaitForEnd(TimeSpan patience) => _end.Task.Wait(patience) ? _end.Task.Result : null;

    /// <summary>Ends the guest from outside: vCPUs stop, images are flushed. Any thread.</summary>
    public void RequestEnd(string reason) => _end.TrySetResult(new GuestEnd(reason, ExitCode.Success));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IByteStream serial in _serials)
        {
            serial.Dispose();
        }
    }
}
