using System;
using System.IO;
using Hypervisor.Core.Host;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Backends.Console;

/// <summary>A serial line that writes to a file, which starts empty; no input.</summary>
public sealed class FileSinkStream : IByteStream
{
    private readonly SafeFileHandle _file;
    private readonly OutputQueue _output;
    private long _offset;

    /// <summary>Creates or empties the file.</summary>
    /// <exception cref="HostException">The file cannot be written.</exception>
    public FileSinkStream(string path)
    {
        try
        {
            _file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new HostException($"serial file {path}: {error.Message}");
        }

        _output = new OutputQueue("serial-file", TryStore);
    }

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes) => _output.Write(bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        _output.Dispose();
        _file.Dispose();
    }

    private bool TryStore(ReadOnlySpan<byte> bytes)
    {
        try
        {
            RandomAccess.Write(_file, bytes, _offset);
            _offset += bytes.Length;
            return true;
        }
        catch (IOException)
        {
            return false; // the disk is full or gone: the guest goes on without a log
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }
}
