using System;
using System.Collections.Generic;
using System.Numerics;
using Hypervisor.Core;

namespace Hypervisor.Devices.Bus;

/// <summary>
/// The I/O port space: 64 Ki ports, each claimed by at most one device. Called with the bus lock held.
/// </summary>
/// <remarks>
/// A table says for each port which range it belongs to, so a look-up is one load. The ranges are fixed at build time,
/// except for windows (PCI I/O BARs), which the guest moves; a fixed range hides a window, and an earlier window hides
/// a later one, so the table depends on where things are and not on how they came there. It is derived state.
/// </remarks>
public sealed class PortBus
{
    private const int PortCount = 0x1_0000;
    private const byte Unclaimed = 0;

    private readonly byte[] _owner = new byte[PortCount]; // 1 + index into _ranges
    private readonly List<PortWindow> _ranges = []; // the table says 1 for the first of them

    /// <summary>Claims <paramref name="count"/> ports for a device.</summary>
    /// <param name="name">What to call the device in a conflict.</param>
    /// <param name="firstPort">The port that the device sees as offset 0.</param>
    /// <param name="count">Number of ports.</param>
    /// <param name="device">Who answers.</param>
    /// <param name="accessBytesMax">Widest access the device takes; wider ones reach it in pieces, lowest
    /// first.</param>
    /// <exception cref="BusConflictException">Some of the ports are taken.</exception>
    public void Register(string name, ushort firstPort, int count, IPortDevice device, int accessBytesMax = 4)
    {
        Check.That(count > 0 && count <= PortCount - firstPort);
        PortWindow range = Add(name, count, device, accessBytesMax);
        range.Place(firstPort, isFixed: true);
        foreach (PortWindow other in _ranges)
        {
            if (other != range && other.IsFixed && range.Overlaps(other))
            {
                _ranges.Remove(range);
                throw new BusConflictException($"ports of {range} overlap {other}");
            }
        }

        Rebuild();
    }

    /// <summary>Gives a device the byte accesses to one port inside another device's range.</summary>
    /// <remarks>
    /// A PC has one such place: CF9 (reset control) lies in the PCI configuration address CF8-CFB, which is only ever
    /// accessed as a doubleword.
    /// </remarks>
    public void RegisterInside(string name, ushort port, IPortDevice device)
    {
        PortWindow range = Add(name, 1, device, accessBytesMax: 1);
        range.Place(port, isFixed: true);
        range.IsInside = true;
        Rebuild();
    }

    /// <summary>Makes a range that is nowhere yet, and that the guest places: a PCI I/O BAR.</summary>
    public PortWindow AddWindow(string name, int count, IPortDevice device, int accessBytesMax = 4)
        => Add(name, count, device, accessBytesMax);

    /// <summary>Reads 1, 2 or 4 bytes; ports without a device read as all ones.</summary>
    public uint Read(ushort port, int sizeBytes)
    {
        byte owner = _owner[port];
        if (owner != Unclaimed && _ranges[owner - 1].TakesWhole(port, sizeBytes))
        {
            PortWindow range = _ranges[owner - 1];
            return range.Device.ReadPort(port - range.FirstPort, sizeBytes);
        }

        return ReadPieces(port, sizeBytes);
    }

    /// <summary>Writes 1, 2 or 4 bytes; ports without a device drop them.</summary>
    public void Write(ushort port, int sizeBytes, uint value)
    {
        byte owner = _owner[port];
        if (owner != Unclaimed && _ranges[owner - 1].TakesWhole(port, sizeBytes))
        {
            PortWindow range = _ranges[owner - 1];
            range.Device.WritePort(port - range.FirstPort, sizeBytes, value);
            return;
        }

        WritePieces(port, sizeBytes, value);
    }

    internal void Rebuild()
    {
        Array.Fill(_owner, Unclaimed);

        // Least important first, so that the more important overwrites it.
        Lay(static range => !range.IsFixed);
        Lay(static range => range.IsFixed && !range.IsInside);
        Lay(static range => range.IsInside);
    }

    private void Lay(Predicate<PortWindow> isWanted)
    {
        for (int i = _ranges.Count - 1; i >= 0; i--)
        {
            PortWindow range = _ranges[i];
            if (range.IsMapped && isWanted(range))
            {
                Array.Fill(_owner, (byte)(i + 1), range.FirstPort, (int)range.Length);
            }
        }
    }

    private PortWindow Add(string name, int count, IPortDevice device, int accessBytesMax)
    {
        Check.That(count is > 0 and <= PortCount && accessBytesMax is 1 or 2 or 4);
        Check.That(_ranges.Count < byte.MaxValue); // the table's entries are bytes; a PC has about forty ranges
        var range = new PortWindow(this, name, count, device, accessBytesMax);
        _ranges.Add(range);
        return range;
    }

    private uint ReadPieces(ushort port, int sizeBytes)
    {
        uint value = 0;
        for (int done = 0; done < sizeBytes;)
        {
            int piece = PieceBytes(port + done, sizeBytes - done);
            uint part = IsClaimed(port + done) ? Read((ushort)(port + done), piece) : 0xFF;
            value |= part << (done * 8);
            done += piece;
        }

        return value;
    }

    private void WritePieces(ushort port, int sizeBytes, uint value)
    {
        for (int done = 0; done < sizeBytes;)
        {
            int piece = PieceBytes(port + done, sizeBytes - done);
            if (IsClaimed(port + done))
            {
                uint mask = uint.MaxValue >> (32 - (piece * 8));
                Write((ushort)(port + done), piece, (value >> (done * 8)) & mask);
            }

            done += piece;
        }
    }

    private bool IsClaimed(int port) => port < PortCount && _owner[port] != Unclaimed;

    // The widest access that the device at this port takes whole; single bytes where it is no multiple of its size.
    private int PieceBytes(int port, int restBytes)
    {
        if (!IsClaimed(port))
        {
            return 1;
        }

        PortWindow range = _ranges[_owner[port] - 1];
        int room = Math.Min(restBytes, Math.Min(range.AccessBytesMax, range.EndPort - port));
        return Math.Min(1 << BitOperations.Log2((uint)room), 1 << BitOperations.TrailingZeroCount(port | 4));
    }
}
