using System;
using Hypervisor.Core;
using Hypervisor.Core.Host;

namespace Hypervisor.Cpu.Translation;

/// <summary>Memory that generated code runs from: written through one view, executed through another (W^X).</summary>
/// <remarks>Bump allocation up to a fixed size; <see cref="Clear"/> frees everything at once. One owner
/// thread.</remarks>
internal sealed unsafe class CodeMemory : IDisposable
{
    private const int Alignment = 16; // branch targets on fetch boundaries

    private readonly byte* _write;
    private readonly byte* _execute;
    private readonly long _mappedBytes; // 0: somebody else's
    private long _lengthBytes;
    private long _usedBytes;

    internal CodeMemory(long lengthBytes)
    {
        _lengthBytes = lengthBytes;
        _mappedBytes = lengthBytes;
        HostMemory.MapCode(lengthBytes, out _write, out _execute);
    }

    private CodeMemory(byte* write, byte* execute, long lengthBytes)
    {
        _write = write;
        _execute = execute;
        _lengthBytes = lengthBytes;
    }

    /// <summary>Bytes that are taken.</summary>
    internal long UsedBytes => _usedBytes;

    /// <summary>
    /// Gives the last bytes away: memory of their own, as near as all of this, that lives as long as this one does.
    /// </summary>
    internal CodeMemory SplitOff(long lengthBytes)
    {
        Check.That(lengthBytes <= FreeBytes);
        _lengthBytes -= lengthBytes;
        return new CodeMemory(_write + _lengthBytes, _execute + _lengthBytes, lengthBytes);
    }

    /// <summary>Copies <paramref name="code"/> in; null when it does not fit any more.</summary>
    /// <returns>Where to call it.</returns>
    internal byte* Add(ReadOnlySpan<byte> code)
    {
        if (code.Length > _lengthBytes - _usedBytes)
        {
            return null;
        }

        code.CopyTo(new Span<byte>(_write + _usedBytes, code.Length));
        byte* entry = _execute + _usedBytes;
        _usedBytes = Math.Min(_lengthBytes, (_usedBytes + code.Length + Alignment - 1) & -Alignment);
        return entry;
    }

    /// <summary>Bytes that are left.</summary>
    internal long FreeBytes => _lengthBytes - _usedBytes;

    /// <summary>Where it runs from.</summary>
    internal byte* Execute => _execute;

    /// <summary>From an address to write at to the one that runs.</summary>
    internal long ToExecute => _execute - _write;

    /// <summary>Lets <paramref name="emitter"/> append up to <paramref name="lengthBytesMax"/> bytes.</summary>
    internal void Begin(Emitter emitter, int lengthBytesMax)
    {
        Check.That(lengthBytesMax <= FreeBytes);
        emitter.Begin(_write + _usedBytes, _execute + _usedBytes, lengthBytesMax);
    }

    /// <summary>Keeps what was appended.</summary>
    internal void End(Emitter emitter)
        => _usedBytes = Math.Min(_lengthBytes, (_usedBytes + emitter.Length + Alignment - 1) & -Alignment);

    /// <summary>Forgets all code. Nothing of it may be running or be called again.</summary>
    internal void Clear() => _usedBytes = 0;

    /// <summary>Forgets all code but the first bytes.</summary>
    internal void Truncate(long usedBytes)
    {
        Check.That(usedBytes <= _usedBytes);
        _usedBytes = usedBytes;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_mappedBytes > 0)
        {
            HostMemory.Unmap(_write, _mappedBytes);
            HostMemory.Unmap(_execute, _mappedBytes);
        }
    }
}
