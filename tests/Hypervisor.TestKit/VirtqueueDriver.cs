using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Core;
using Hypervisor.Core.Memory;

namespace Hypervisor.TestKit;

/// <summary>
/// The guest's side of a split virtqueue, for tests and fuzzers: as careful or as hostile as they like.
/// </summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 2.7. Its layout is its own code on purpose; it shares nothing with the device's.
/// </remarks>
public sealed class VirtqueueDriver
{
    /// <summary>Descriptor flag: another one follows.</summary>
    public const ushort Next = 1;

    /// <summary>Descriptor flag: the device writes.</summary>
    public const ushort Write = 2;

    /// <summary>Descriptor flag: the buffer is a table of descriptors.</summary>
    public const ushort Indirect = 4;

    private readonly GuestRam _ram;
    private readonly Queue<ushort> _free = new();
    private readonly Dictionary<ushort, ushort[]> _owned = [];
    private ushort _available;
    private ushort _seenUsed;

    /// <summary>Lays an empty queue out from <paramref name="gpa"/> on, which is aligned to 16.</summary>
    public VirtqueueDriver(GuestRam ram, ulong gpa, ushort size)
    {
        Check.That(gpa % 16 == 0);
        _ram = ram;
        Size = size;
        Descriptors = gpa;
        Available = gpa + (16UL * size);
        Used = (Available + 4 + (2UL * size) + 2 + 3) & ~3UL;
        End = Used + 4 + (8UL * size) + 2;
        Check.That(ram.TryWrite(gpa, new byte[End - gpa]));
        for (ushort i = 0; i < size; i++)
        {
            _free.Enqueue(i);
        }
    }

    /// <summary>Number of descriptors.</summary>
    public ushort Size { get; }

    /// <summary>GPA of the descriptor table.</summary>
    public ulong Descriptors { get; }

    /// <summary>GPA of the available ring.</summary>
    public ulong Available { get; }

    /// <summary>GPA of the used ring.</summary>
    public ulong Used { get; }

    /// <summary>First GPA behind the queue.</summary>
    public ulong End { get; }

    /// <summary>Descriptors that no chain uses.</summary>
    public int FreeCount => _free.Count;

    /// <summary>What the device wrote as used.idx.</summary>
    public ushort UsedIndex => ReadU16(Used + 2);

    /// <summary>At which available index the device wants a notification (event index).</summary>
    public ushort AvailableEvent => ReadU16(Used + 4 + (8UL * Size));

    /// <summary>Adds a chain of buffers and makes it available; returns its head.</summary>
    public ushort Add(params ReadOnlySpan<(ulong Gpa, uint LengthBytes, bool IsWritable)> buffers)
    {
        ushort[] chain = new ushort[buffers.Length];
        for (int i = 0; i < chain.Length; i++)
        {
            chain[i] = _free.Dequeue();
        }

        for (int i = 0; i < chain.Length; i++)
        {
            bool isLast = i == chain.Length - 1;
            int flags = (buffers[i].IsWritable ? Write : 0) | (isLast ? 0 : Next);
            ushort next = isLast ? (ushort)0 : chain[i + 1];
            SetDescriptor(chain[i], buffers[i].Gpa, buffers[i].LengthBytes, (ushort)flags, next);
        }

        _owned.Add(chain[0], chain);
        Publish(chain[0]);
        return chain[0];
    }

    /// <summary>Adds a chain through an indirect table at <paramref name="tableGpa"/>; returns its head.</summary>
    public ushort AddIndirect(
        ulong tableGpa, params ReadOnlySpan<(ulong Gpa, uint LengthBytes, bool IsWritable)> buffers)
    {
        for (int i = 0; i < buffers.Length; i++)
        {
            bool isLast = i == buffers.Length - 1;
            int flags = (buffers[i].IsWritable ? Write : 0) | (isLast ? 0 : Next);
            WriteDescriptor(
                tableGpa + (16UL * (ulong)i), buffers[i].Gpa, buffers[i].LengthBytes, (ushort)flags, (ushort)(i + 1));
        }

        ushort head = _free.Dequeue();
        SetDescriptor(head, tableGpa, 16u * (uint)buffers.Length, Indirect, 0);
        _owned.Add(head, [head]);
        Publish(head);
        return head;
    }

    /// <summary>Writes a descriptor of the table as it is told.</summary>
    public void SetDescriptor(int index, ulong gpa, uint lengthBytes, ushort flags, ushort next)
        => WriteDescriptor(Descriptors + (16UL * (ulong)index), gpa, lengthBytes, flags, next);

    /// <summary>Writes a descriptor anywhere.</summary>
    public void WriteDescriptor(ulong at, ulong gpa, uint lengthBytes, ushort flags, ushort next)
    {
        byte[] bytes = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, gpa);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), lengthBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(12), flags);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(14), next);
        Check.That(_ram.TryWrite(at, bytes));
    }

    /// <summary>Puts a head, of whatever kind, into the available ring.</summary>
    public void Publish(ushort head)
    {
        WriteU16(Available + 4 + (2UL * (ulong)(_available % Size)), head);
        _available++;
        WriteU16(Available + 2, _available);
    }

    /// <summary>Writes any value as available index.</summary>
    public void SetAvailableIndex(ushort index) => WriteU16(Available + 2, index);

    /// <summary>Writes the available ring's flags (1: no interrupts).</summary>
    public void SetAvailableFlags(ushort flags) => WriteU16(Available, flags);

    /// <summary>Says at which used index the driver wants an interrupt (event index).</summary>
    public void SetUsedEvent(ushort index) => WriteU16(Available + 4 + (2UL * Size), index);

    /// <summary>Takes the next chain that the device gave back.</summary>
    public bool TryTakeUsed(out ushort head, out uint writtenBytes)
    {
        head = 0;
        writtenBytes = 0;
        if (_seenUsed == UsedIndex)
        {
            return false;
        }

        ulong slot = Used + 4 + (8UL * (ulong)(_seenUsed % Size));
        Check.That(_ram.TryReadU32(slot, out uint id) && _ram.TryReadU32(slot + 4, out writtenBytes));
        head = (ushort)id;
        _seenUsed++;
        if (_owned.Remove(head, out ushort[]? chain))
        {
            foreach (ushort descriptor in chain)
            {
                _free.Enqueue(descriptor);
            }
        }

        return true;
    }

    private ushort ReadU16(ulong gpa)
    {
        Check.That(_ram.TryReadU16(gpa, out ushort value));
        return value;
    }

    private void WriteU16(ulong gpa, ushort value)
    {
        byte[] bytes = new byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        Check.That(_ram.TryWrite(gpa, bytes));
    }
}
