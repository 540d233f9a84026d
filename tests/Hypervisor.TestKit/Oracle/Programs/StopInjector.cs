using System;
using System.Threading;
using Hypervisor.Cpu;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Asks a vCPU to leave Run again and again while a program runs, and lets it go on.</summary>
/// <remarks>
/// A thread of its own asks, so the stops come at any block boundary. What is derived from guest state is dropped at
/// some of the stops, as at a cut or a load: the result must not change.
/// </remarks>
internal sealed class StopInjector : IDisposable
{
    private const int SpinsMax = 2000;

    private readonly EmulatedProgramCpu _cpu;
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _isRunning = new(false);
    private volatile bool _isDisposed;

    internal StopInjector(EmulatedProgramCpu cpu)
    {
        _cpu = cpu;
        _cpu.OnStopped = OnStopped;
        _thread = new Thread(Ask) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>How many stops there were.</summary>
    internal long StopCount { get; private set; }

    /// <summary>Stops come from now on, until the result is disposed.</summary>
    internal IDisposable Begin()
    {
        _isRunning.Set();
        return new Pause(_isRunning);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isDisposed = true;
        _isRunning.Set();
        _thread.Join();
        _isRunning.Dispose();
    }

    private void OnStopped(Vcpu vcpu)
    {
        const int RearmEvery = 3;
        const int DropEvery = 11;
        StopCount++;
        if (StopCount % RearmEvery == 0)
        {
            vcpu.RearmWrites();
        }

        if (StopCount % DropEvery == 0)
        {
            vcpu.AfterLoad();
        }
    }

    private void Ask()
    {
        var random = new Random(1);
        while (!_isDisposed)
        {
            _isRunning.Wait();
            _cpu.Vcpu.RequestExit();
            Thread.SpinWait(random.Next(SpinsMax));
        }
    }

    private sealed class Pause(ManualResetEventSlim isRunning) : IDisposable
    {
        public void Dispose() => isRunning.Reset();
    }
}
