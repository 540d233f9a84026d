using System;
using System.Buffers.Binary;
using System.Numerics;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Pci;

/// <summary>The MSI-X table and pending bits of a function, in a memory BAR of their own.</summary>
/// <remarks>
/// Spec: PCI Local Bus 3.0, 6.8.2. Table at offset 0, pending bit array (PBA) at 800h, as QEMU's virtio has it. Entry:
/// <code>
/// 0 message address u32 | 4 upper address u32 | 8 data u32 | 12 vector control u32 (bit 0: masked)
/// </code>
/// </remarks>
public sealed class MsixTable : IMmioDevice
{
    /// <summary>Size of the BAR.</summary>
    public const int BarBytes = 0x1000;

    /// <summary>Where the pending bits start in the BAR.</summary>
    public const int PendingOffset = 0x800;

    /// <summary>Most vectors that fit below the pending bits.</summary>
    public const int VectorsMax = PendingOffset / EntryBytes;

    private const int EntryBytes = 16;
    private const int ControlOffset = 12;
    private const byte MaskedBit = 1;

    private readonly byte[] _table;
    private readonly ulong[] _pending;
    private readonly Action<ulong, uint> _sendMsi;

    private bool _isEnabled;
    private bool _isFunctionMasked;

    /// <summary>Makes a table with every vector masked.</summary>
    public MsixTable(int vectorCount, Action<ulong, uint> sendMsi)
    {
        Check.That(vectorCount is > 0 and <= VectorsMax);
        VectorCount = vectorCount;
        _sendMsi = sendMsi;
        _table = new byte[vectorCount * EntryBytes];
        _pending = new ulong[(vectorCount + 63) / 64];
        Reset();
    }

    /// <summary>Number of vectors.</summary>
    public int VectorCount { get; }

    /// <summary>Whether the guest switched the function to MSI-X.</summary>
    public bool IsEnabled => _isEnabled;

    /// <summary>All vectors masked, nothing pending, MSI-X off.</summary>
    public void Reset()
    {
        Array.Clear(_table);
        Array.Clear(_pending);
        for (int vector = 0; vector < VectorCount; vector++)
        {
            _table[(vector * EntryBytes) + ControlOffset] = MaskedBit;
        }

        _isEnabled = false;
        _isFunctionMasked = false;
    }

    /// <summary>Takes the two bits of the message control register; sends what the mask held back.</summary>
    public void Control(bool isEnabled, bool isFunctionMasked)
    {
        _isEnabled = isEnabled;
        _isFunctionMasked = isFunctionMasked;
        SendPending();
    }

    /// <summary>Sends a vector's message, or remembers it while it is masked. Nothing while MSI-X is off.</summary>
    public void Raise(int vector)
    {
        Check.That(vector >= 0 && vector < VectorCount);
        if (!_isEnabled)
        {
            return;
        }

        if (IsMasked(vector))
        {
            _pending[vector >> 6] |= 1UL << (vector & 63);
        }
        else
        {
            Send(vector);
        }
    }

    /// <inheritdoc/>
    public ulong ReadMmio(ulong offset, int sizeBytes)
    {
        ulong value = 0;
        for (int i = 0; i < sizeBytes; i++)
        {
            value |= (ulong)ReadByte((int)offset + i) << (i * 8);
        }

        return value;
    }

    /// <inheritdoc/>
    public void WriteMmio(ulong offset, int sizeBytes, ulong value)
    {
        int first = (int)offset;
        for (int i = 0; i < sizeBytes && first + i < _table.Length; i++)
        {
            byte written = (byte)(value >> (i * 8));
            int inEntry = (first + i) & (EntryBytes - 1);
            _table[first + i] = inEntry < ControlOffset ? written
                : inEntry == ControlOffset ? (byte)(written & MaskedBit)
                : (byte)0; // the rest of vector control is reserved
        }

        if (first < _table.Length)
        {
            SendPending();
        }
    }

    /// <summary>Moves table, pending bits and control through a section.</summary>
    public void Transfer(ref StateCodec state)
    {
        state.Bool(ref _isEnabled);
        state.Bool(ref _isFunctionMasked);
        state.Bytes(_table);
        for (int i = 0; i < _pending.Length; i++)
        {
            state.U64(ref _pending[i]);
        }

        if (!state.IsSaving && (VectorCount & 63) != 0)
        {
            _pending[^1] &= (1UL << (VectorCount & 63)) - 1; // vectors that do not exist must not be raised
        }
    }

    private byte ReadByte(int offset)
    {
        if (offset < _table.Length)
        {
            return _table[offset];
        }

        int inPending = offset - PendingOffset;
        return inPending >= 0 && inPending < _pending.Length * 8
            ? (byte)(_pending[inPending >> 3] >> ((inPending & 7) * 8))
            : (byte)0;
    }

    private bool IsMasked(int vector)
        => _isFunctionMasked || (_table[(vector * EntryBytes) + ControlOffset] & MaskedBit) != 0;

    private void SendPending()
    {
        if (!_isEnabled || _isFunctionMasked)
        {
            return;
        }

        for (int word = 0; word < _pending.Length; word++)
        {
            for (ulong left = _pending[word]; left != 0; left &= left - 1)
            {
                int vector = (word * 64) + BitOperations.TrailingZeroCount(left);
                if (!IsMasked(vector))
                {
                    _pending[word] &= ~(1UL << (vector & 63));
                    Send(vector);
                }
            }
        }
    }

    private void Send(int vector)
    {
        ReadOnlySpan<byte> entry = _table.AsSpan(vector * EntryBytes, EntryBytes);
        _sendMsi(BinaryPrimitives.ReadUInt64LittleEndian(entry), BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]));
    }
}
