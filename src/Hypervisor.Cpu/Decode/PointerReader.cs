using Iced.Intel;

namespace Hypervisor.Cpu.Decode;

/// <summary>Feeds a decoder from native memory.</summary>
internal sealed unsafe class PointerReader : CodeReader
{
    private byte* _next;
    private byte* _end;

    /// <summary>The next byte comes from <paramref name="start"/>; after <paramref name="count"/> of them it is the
    /// end.</summary>
    internal void Set(byte* start, int count)
    {
        _next = start;
        _end = start + count;
    }

    /// <inheritdoc/>
    public override int ReadByte() => _next < _end ? *_next++ : -1;
}
