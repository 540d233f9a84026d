using System;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Chipset;

/// <summary>
/// A PS/2 device's side of the talk with its host: the bytes that it has to say (full, it drops what comes), and the
/// command whose parameter is due.
/// </summary>
internal sealed class Ps2Dialogue
{
    /// <summary>What follows the acknowledgement of a reset.</summary>
    public const byte SelfTestPassed = 0xAA;

    private const byte Acknowledgement = 0xFA;
    private const byte ResendRequest = 0xFE;
    private const byte NoCommand = 0x00;
    private const int Capacity = 32;
    private const int EventRoom = 16; // of a real keyboard; the rest is for answers

    private readonly byte[] _bytes = new byte[Capacity]; // oldest first

    private int _count;
    private byte _waitingCommand;

    public bool IsEmpty => _count == 0;

    /// <summary>Whether an event of that many bytes may be queued.</summary>
    public bool HasRoom(int count) => _count + count <= EventRoom;

    public void Add(params ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, Capacity - _count);
        bytes[..count].CopyTo(_bytes.AsSpan(_count));
        _count += count;
    }

    /// <summary>Takes the byte before, and answers so.</summary>
    public void Acknowledge(params ReadOnlySpan<byte> answer)
    {
        Add(Acknowledgement);
        Add(answer);
    }

    /// <summary>Refuses the byte before.</summary>
    public void Refuse() => Add(ResendRequest);

    /// <summary>The next byte is a command's parameter.</summary>
    public void AwaitParameter(byte command) => _waitingCommand = command;

    /// <summary>The command whose parameter has come now; 0 when what has come is a command itself.</summary>
    public byte TakeWaitingCommand()
    {
        byte command = _waitingCommand;
        _waitingCommand = NoCommand;
        return command;
    }

    public byte Take()
    {
        byte first = _bytes[0];
        _bytes.AsSpan(1, _count - 1).CopyTo(_bytes);
        _count--;
        return first;
    }

    public void Reset()
    {
        _count = 0;
        _waitingCommand = NoCommand;
    }

    public void Transfer(ref StateCodec state)
    {
        state.Count(ref _count, Capacity);
        state.Bytes(_bytes);
        state.U8(ref _waitingCommand);
    }
}
