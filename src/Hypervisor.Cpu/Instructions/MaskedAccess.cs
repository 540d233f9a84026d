using System.Numerics;

namespace Hypervisor.Cpu.Instructions;

/// <summary>How a mask register decides what of a memory operand is accessed; in Operation.Immediate above the stub.
/// </summary>
/// <param name="Bits">
/// mask register &lt;&lt; 48 | log2 element bytes &lt;&lt; 51 | log2 mask bits &lt;&lt; 54 | kind &lt;&lt; 57.
/// </param>
internal readonly record struct MaskedAccess(ulong Bits)
{
    private const int MaskShift = 48;
    private const int ElementShift = 51;
    private const int CountShift = 54;
    private const int KindShift = 57;
    private const ulong FieldMask = 7;

    internal static MaskedAccess Of(int mask, int elementBytes, int count, MaskedKind kind)
        => new(((ulong)mask << MaskShift)
            | ((ulong)BitOperations.Log2((uint)elementBytes) << ElementShift)
            | ((ulong)BitOperations.Log2((uint)count) << CountShift)
            | ((ulong)kind << KindShift));

    /// <summary>The mask register, 1 to 7.</summary>
    internal int Mask => (int)((Bits >> MaskShift) & FieldMask);

    /// <summary>Size of an element in memory.</summary>
    internal int ElementBytes => 1 << (int)((Bits >> ElementShift) & FieldMask);

    /// <summary>Elements that <paramref name="mask"/> selects of an operand of so many bytes; packed: of all.</summary>
    internal ulong Select(ulong mask, int sizeBytes)
    {
        int count = Count;
        mask &= ulong.MaxValue >> (64 - count);
        int inMemory = sizeBytes / ElementBytes;
        for (; Kind == MaskedKind.Repeated && count > inMemory; count /= 2)
        {
            mask = (mask | (mask >> (count / 2))) & (ulong.MaxValue >> (64 - (count / 2)));
        }

        return mask;
    }

    // The bits of the mask register that count.
    private int Count => 1 << (int)((Bits >> CountShift) & FieldMask);

    internal MaskedKind Kind => (MaskedKind)((Bits >> KindShift) & FieldMask);
}
