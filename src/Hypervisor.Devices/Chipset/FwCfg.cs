using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;
using Hypervisor.Core;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>QEMU's firmware configuration device: selector 510, data 511, DMA 514-51B.</summary>
/// <remarks>
/// Spec: QEMU docs/specs/fw_cfg. Items are given at build time and are configuration, not state: both machines of a
/// pair must be given the same. The guest cannot write them. The DMA descriptor, big-endian:
/// <code>control u32 (0 error, 1 read, 2 skip, 3 select, 4 write, 31:16 key) | length u32 | address u64</code>
/// </remarks>
public sealed class FwCfg : IPortDevice, ICheckpointed
{
    /// <summary>First port.</summary>
    public const ushort FirstPort = 0x510;

    private const int PortCount = 12;
    private const ushort SignatureKey = 0x00;
    private const ushort IdKey = 0x01;
    private const ushort DirectoryKey = 0x19;
    private const ushort FirstFileKey = 0x20;
    private const int FilesMax = 0x100;
    private const int FileNameBytes = 56; // with its zero
    private const int DirectoryEntryBytes = 8 + FileNameBytes;
    private const ushort KeyWriteBit = 0x4000;

    private const uint Features = 3; // traditional interface, DMA
    private const ulong DmaSignature = 0x5145_4D55_2043_4647; // "QEMU CFG"
    private const int DescriptorBytes = 16;
    private const uint DmaError = 1;
    private const uint DmaRead = 2;
    private const uint DmaSkip = 4;
    private const uint DmaSelect = 8;
    private const uint DmaWrite = 16;

    // What a read past the end of an item may clear in one go; it happens under the bus lock.
    private const uint ZeroBytesMax = 1 << 20;
    private static readonly byte[] s_zeroes = new byte[4096];

    private readonly SortedDictionary<ushort, byte[]> _items = [];
    private readonly List<(string Name, int LengthBytes)> _files = [];
    private readonly GuestRam _ram;

    private ushort _key;
    private uint _offset;
    private uint _dmaHigh;

    /// <summary>Makes a device that says what it is and has no files.</summary>
    public FwCfg(DeviceContext context)
    {
        _ram = context.Ram;
        _items[SignatureKey] = "QEMU"u8.ToArray();
        byte[] features = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(features, Features);
        _items[IdKey] = features;
        WriteDirectory();
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x4643_5746, Instance: 0, Version: 1); // "FWCF"

    /// <summary>Claims its ports.</summary>
    public void Attach(PortBus ports) => ports.Register("fw_cfg", FirstPort, PortCount, this, accessBytesMax: 4);

    /// <summary>Sets an item that has a fixed key, such as 0x05 (number of CPUs). At build time.</summary>
    public void Add(ushort key, byte[] content)
    {
        Check.That(key is not (SignatureKey or IdKey or DirectoryKey) && key is < FirstFileKey or >= 0x8000);
        _items[key] = content;
    }

    /// <summary>Adds a named file, such as "etc/e820". At build time.</summary>
    public void AddFile(string name, byte[] content)
    {
        Check.That(_files.Count < FilesMax && name.Length < FileNameBytes);
        _items[(ushort)(FirstFileKey + _files.Count)] = content;
        _files.Add((name, content.Length));
        WriteDirectory();
    }

    /// <summary>Power-on state.</summary>
    public void Reset()
    {
        _key = 0;
        _offset = 0;
        _dmaHigh = 0;
    }

    /// <inheritdoc/>
    public uint ReadPort(int offset, int sizeBytes)
    {
        if (offset >= 4)
        {
            ulong signature = DmaSignature << ((offset - 4) * 8);
            return ReverseLow((uint)(signature >> 32), sizeBytes);
        }

        return offset == 1 && sizeBytes == 1 ? ReadData() : 0u;
    }

    /// <inheritdoc/>
    public void WritePort(int offset, int sizeBytes, uint value)
    {
        switch (offset, sizeBytes)
        {
            case (0, 2):
                Select((ushort)value);
                break;
            case (4, 4):
                _dmaHigh = BinaryPrimitives.ReverseEndianness(value);
                break;
            case (8, 4):
                ulong address = ((ulong)_dmaHigh << 32) | BinaryPrimitives.ReverseEndianness(value);
                _dmaHigh = 0;
                RunDma(address);
                break;
            default:
                break;
        }
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.U16(ref _key);
        state.U32(ref _offset);
        state.U32(ref _dmaHigh);
    }

    // The first bytes of a big-endian register, as a little-endian access sees them.
    private static uint ReverseLow(uint value, int sizeBytes)
        => BinaryPrimitives.ReverseEndianness(value) & (uint.MaxValue >> (32 - (sizeBytes * 8)));

    private void Select(ushort key)
    {
        _key = (ushort)(key & ~KeyWriteBit);
        _offset = 0;
    }

    private byte ReadData()
    {
        ReadOnlySpan<byte> rest = Rest();
        if (rest.IsEmpty)
        {
            return 0;
        }

        _offset++;
        return rest[0];
    }

    // What is left of the selected item; nothing for one that there is not.
    private ReadOnlySpan<byte> Rest()
        => _items.TryGetValue(_key, out byte[]? item) && _offset < item.Length ? item.AsSpan((int)_offset) : default;

    private void RunDma(ulong address)
    {
        Span<byte> descriptor = stackalloc byte[DescriptorBytes];
        if (!_ram.TryRead(address, descriptor))
        {
            return; // nowhere to report it
        }

        uint control = BinaryPrimitives.ReadUInt32BigEndian(descriptor);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(descriptor[4..]);
        ulong target = BinaryPrimitives.ReadUInt64BigEndian(descriptor[8..]);
        if ((control & DmaSelect) != 0)
        {
            Select((ushort)(control >> 16));
        }

        bool done = true;
        if ((control & DmaRead) != 0)
        {
            done = TryCopyOut(target, length);
        }
        else if ((control & DmaWrite) != 0)
        {
            done = false; // no item is writable
        }
        else if ((control & DmaSkip) != 0)
        {
            _offset += Math.Min(length, (uint)Rest().Length);
        }

        Span<byte> result = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(result, done ? 0 : DmaError);
        _ = _ram.TryWrite(address, result);
    }

    private bool TryCopyOut(ulong target, uint length)
    {
        ReadOnlySpan<byte> source = Rest();
        source = source[..(int)Math.Min(length, (uint)source.Length)];
        uint zeroBytes = length - (uint)source.Length;
        if (zeroBytes > ZeroBytesMax || !_ram.TryGetOffset(target, length, out _))
        {
            return false;
        }

        bool done = _ram.TryWrite(target, source);
        _offset += (uint)source.Length;
        ulong next = target + (uint)source.Length;
        while (done && zeroBytes > 0)
        {
            int piece = (int)Math.Min(zeroBytes, (uint)s_zeroes.Length);
            done = _ram.TryWrite(next, s_zeroes.AsSpan(0, piece));
            next += (uint)piece;
            zeroBytes -= (uint)piece;
        }

        return done;
    }

    // Big-endian: count u32, then per file length u32, key u16, 0 u16, name.
    private void WriteDirectory()
    {
        byte[] directory = new byte[4 + (_files.Count * DirectoryEntryBytes)];
        BinaryPrimitives.WriteInt32BigEndian(directory, _files.Count);
        for (int i = 0; i < _files.Count; i++)
        {
            Span<byte> entry = directory.AsSpan(4 + (i * DirectoryEntryBytes), DirectoryEntryBytes);
            BinaryPrimitives.WriteInt32BigEndian(entry, _files[i].LengthBytes);
            BinaryPrimitives.WriteUInt16BigEndian(entry[4..], (ushort)(FirstFileKey + i));
            Encoding.ASCII.GetBytes(_files[i].Name, entry[8..]);
        }

        _items[DirectoryKey] = directory;
    }
}
