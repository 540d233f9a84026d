using System;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>The bytes that a PS/2 device has to say. Full, it drops what comes.</summary>
internal sealed class Ps2Queue
{
    private const int Capacity = 32;
    private const int EventRoom = 16; // of a real keyboard; the rest is for answers

    private readonly byte[] _bytes = new byte[Capacity]; // oldest first

    private int _count;

    public bool IsEmpty => _count == 0;

    /// <summary>Whether an event of that many bytes may be queued.</summary>
    public bool HasRoom(int count) => _count + count <= EventRoom;

    public void Add(params ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, Capacity - _count);
        bytes[..count].CopyTo(_bytes.AsSpan(_count));
        _count += count;
    }

    public byte Take()
    {
        byte first = _bytes[0];
        _bytes.AsSpan(1, _count - 1).CopyTo(_bytes);
        _count--;
        return first;
    }

    public void Clear() => _count = 0;

    public void Transfer(ref StateCodec state)
    {
        state.Count(ref _count, Capacity);
        state.Bytes(_bytes);
    }
}
