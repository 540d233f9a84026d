using System;
using System.Collections.Generic;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Tests.Devices.Bus;

/// <summary>
/// A device that answers with its name and the offset's low bits, and keeps a record of its accesses.
/// </summary>
internal sealed class RegisterBank(byte name) : IPortDevice, IMmioDevice
{
    public List<(ulong Offset, int SizeBytes, ulong Value)> Writes { get; } = [];

    public List<(ulong Offset, int SizeBytes)> Reads { get; } = [];

    public uint ReadPort(int offset, int sizeBytes) => (uint)ReadMmio((ulong)offset, sizeBytes);

    public void WritePort(int offset, int sizeBytes, uint value) => WriteMmio((ulong)offset, sizeBytes, value);

    public ulong ReadMmio(ulong offset, int sizeBytes)
    {
        Reads.Add((offset, sizeBytes));
        Span<byte> bytes = stackalloc byte[8];
        for (int i = 0; i < sizeBytes; i++)
        {
            bytes[i] = (byte)(name + (byte)(offset & 0xF) + i);
        }

        return BitConverter.ToUInt64(bytes);
    }

    public void WriteMmio(ulong offset, int sizeBytes, ulong value) => Writes.Add((offset, sizeBytes, value));
}
