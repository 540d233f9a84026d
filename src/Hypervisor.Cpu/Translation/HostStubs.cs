using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Iced.Intel;

namespace Hypervisor.Cpu.Translation;

/// <summary>The vCPU's stubs: one per distinct encoding that ran "as the host".</summary>
/// <remarks>
/// A stub is <c>void stub(CpuState* state, byte* memory, ulong flags)</c>. The guest chooses the encodings, so the code
/// memory is bounded: when it is full, everything is dropped together with the decoded blocks that point into it.
/// </remarks>
internal sealed unsafe class HostStubs : IDisposable
{
    // A stub takes some 100 bytes; a Linux guest with its programs uses a few thousand.
    /// <summary>Memory for the stubs.</summary>
    internal const long CodeBytes = 8L << 20;

    private readonly CodeMemory _memory = new(CodeBytes);
    private readonly HostStubBuilder _builder = new();
    private readonly Dictionary<UInt128, nint> _byEncoding = [];

    /// <summary>How many stubs there are, for tests and statistics.</summary>
    internal int Count => _byEncoding.Count;

    /// <summary>The stub that executes <paramref name="instruction"/>; null when the code memory is full.</summary>
    internal byte* Find(in Instruction instruction, StubParts parts)
    {
        _builder.Prepare(instruction);
        UInt128 key = Key(_builder.Encoding, parts, _builder.StackPointerAlias);
        if (_byEncoding.TryGetValue(key, out nint known))
        {
            return (byte*)known;
        }

        byte* stub = _memory.Add(_builder.Build(parts));
        if (stub != null)
        {
            _byEncoding.Add(key, (nint)stub);
        }

        return stub;
    }

    /// <summary>Forgets all stubs; the caller has dropped every operation that points to one.</summary>
    internal void Clear()
    {
        _byEncoding.Clear();
        _memory.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    // An encoding has at most 15 bytes; the 16th tells stubs apart that do different things around it.
    private static UInt128 Key(ReadOnlySpan<byte> encoding, StubParts parts, int stackPointerAlias)
    {
        Span<byte> key = stackalloc byte[16];
        key.Clear();
        encoding.CopyTo(key);
        key[15] = (byte)((int)parts | ((stackPointerAlias + 1) << 3));
        return BinaryPrimitives.ReadUInt128LittleEndian(key);
    }
}
