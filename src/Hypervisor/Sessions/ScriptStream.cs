using System;
using System.Threading;
using Hypervisor.Backends.Console;

namespace Hypervisor.Sessions;

/// <summary>
/// The serial line of a boot test: output goes to the script and the log, input comes from the script.
/// </summary>
internal sealed class ScriptStream(BootScript script, IByteStream log, Action onProgress) : IByteStream
{
    private readonly InputPump _pump = new();
    private readonly AutoResetEvent _hasOutput = new(false);
    private Thread? _typist;
    private volatile bool _isEnding;

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <inheritdoc/>
    public void Start()
    {
        log.Start();
        _typist = new Thread(Type) { Name = "boot-test-typist", IsBackground = true };
        _typist.Start();
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        log.Write(bytes);
        script.OnOutput(bytes);
        _hasOutput.Set();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isEnding = true;
        _pump.Stop();
        _hasOutput.Set();
        _typist?.Join();
        _hasOutput.Dispose();
        log.Dispose();
    }

    private void Type()
    {
        while (!_isEnding)
        {
            while (script.TryTakeInput(out byte[] bytes))
            {
                _pump.Deliver(OnInput, bytes);
            }

            if (script.IsDone)
            {
                onProgress();
            }

            _hasOutput.WaitOne();
        }
    }
}
