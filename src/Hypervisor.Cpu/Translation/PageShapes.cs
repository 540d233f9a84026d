using System.Collections.Generic;

namespace Hypervisor.Cpu.Translation;

/// <summary>Which part of a page belongs to a code segment, as a small number that fits a block's key.</summary>
/// <remarks>
/// A segment begins and ends anywhere on a page. Jumps inside a page are linked for good, so blocks of one page that
/// were made for one part of it must not meet those that were made for another.
/// </remarks>
internal sealed class PageShapes
{
    /// <summary>How many there may be, the whole page among them.</summary>
    internal const int CountMax = 16;

    private const int PageBytes = 4096;

    private readonly List<(int Low, int High)> _shapes = [(0, PageBytes)];

    /// <summary>The first offset that belongs to the segment, and the one behind the last.</summary>
    internal (int Low, int High) this[int number] => _shapes[number];

    /// <summary>The number of a shape; false: there are too many, <see cref="Clear"/> first.</summary>
    internal bool TryFind(int low, int high, out int number)
    {
        number = low == 0 && high == PageBytes ? 0 : _shapes.IndexOf((low, high));
        if (number < 0 && _shapes.Count < CountMax)
        {
            number = _shapes.Count;
            _shapes.Add((low, high));
        }

        return number >= 0;
    }

    /// <summary>Forgets all but the whole page: when no block is left.</summary>
    internal void Clear() => _shapes.RemoveRange(1, _shapes.Count - 1);
}
