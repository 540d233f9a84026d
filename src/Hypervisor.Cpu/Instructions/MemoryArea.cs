using System;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Memory operands longer than a vector: whole or not at all.</summary>
internal static unsafe class MemoryArea
{
    private const int PieceBytes = 64;
    private const ulong PageMask = ~0xFFFul;

    /// <summary>Reads the operand. False: fault.</summary>
    internal static bool TryRead(Vcpu vcpu, Operation* op, Span<byte> target)
        => vcpu.Mmu.TryAddress(op, target.Length, MemoryAccess.Read, out ulong linear)
            && TryReadLinear(vcpu, linear, op->Segment, target);

    /// <summary>Writes the operand. False: fault, and nothing was written.</summary>
    internal static bool TryWrite(Vcpu vcpu, Operation* op, ReadOnlySpan<byte> source)
        => vcpu.Mmu.TryAddress(op, source.Length, MemoryAccess.Write, out ulong linear)
            && (source.Length <= PieceBytes
                || (vcpu.Mmu.BeginWriteLinear(linear, 1, op->Segment, keep: false) != null
                    && TryProbeWrite(vcpu, linear, op->Segment, source.Length)))
            && TryWriteLinear(vcpu, linear, op->Segment, source);

    /// <summary>Reads at a linear address. False: fault.</summary>
    internal static bool TryReadLinear(Vcpu vcpu, ulong linear, int segment, Span<byte> target)
    {
        while (!target.IsEmpty)
        {
            int count = Math.Min(target.Length, PieceBytes);
            byte* bytes = vcpu.Mmu.BeginReadLinear(linear, count, segment);
            if (bytes == null)
            {
                return false;
            }

            new ReadOnlySpan<byte>(bytes, count).CopyTo(target);
            target = target[count..];
            linear += (ulong)count;
        }

        return true;
    }

    /// <summary>Checks that a write of up to a page would not fault. False: fault.</summary>
    /// <remarks>The last byte first, as hosts do: it decides CR2.</remarks>
    internal static bool TryProbeWrite(Vcpu vcpu, ulong linear, int segment, int lengthBytes)
    {
        ulong last = linear + (ulong)(lengthBytes - 1);
        return vcpu.Mmu.BeginWriteLinear(last, 1, segment, keep: false) != null
            && ((linear & PageMask) == (last & PageMask)
                || vcpu.Mmu.BeginWriteLinear(linear, 1, segment, keep: false) != null);
    }

    /// <summary>Writes at a linear address, after <see cref="TryProbeWrite"/>.</summary>
    internal static bool TryWriteLinear(Vcpu vcpu, ulong linear, int segment, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            int count = Math.Min(source.Length, PieceBytes);
            byte* bytes = vcpu.Mmu.BeginWriteLinear(linear, count, segment, keep: false);
            if (bytes == null)
            {
                return false;
            }

            source[..count].CopyTo(new Span<byte>(bytes, count));
            vcpu.Mmu.EndWrite(bytes);
            source = source[count..];
            linear += (ulong)count;
        }

        return true;
    }
}
