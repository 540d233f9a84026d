using System.Collections.Generic;
using System.Threading;

namespace Hypervisor.Cpu.Decode;

/// <summary>Lines of code that other threads announced a store to, until the vCPU drops what it made of them.</summary>
/// <remarks>A page is listed once, however often it is stored to: a halted vCPU's list stays short.</remarks>
internal sealed unsafe class WrittenCode(long pageCount)
{
    // Protects what follows. Taken inside the bus lock or alone, and nothing is taken inside it.
    private readonly Lock _lock = new();
    private readonly ulong[] _lines = new ulong[pageCount];
    private readonly List<int> _pages = [];
    private bool _mayBeUnderWay;

    /// <summary>What the last <see cref="TryTake"/> found. On the vCPU's thread.</summary>
    internal List<(long Page, ulong Lines)> Taken { get; } = [];

    /// <summary>Announces a store to some lines of a page. Any thread.</summary>
    internal void Add(long page, ulong lines)
    {
        lock (_lock)
        {
            if (_lines[page] == 0)
            {
                _pages.Add((int)page);
            }

            _lines[page] |= lines;
            Volatile.Write(ref _mayBeUnderWay, true); // pairs with TryBeginWait
        }
    }

    /// <summary>
    /// Whether a store was announced since the last call that said so: the caller waits until all have landed.
    /// </summary>
    internal bool TryBeginWait()
    {
        if (!Volatile.Read(ref _mayBeUnderWay))
        {
            return false;
        }

        lock (_lock)
        {
            _mayBeUnderWay = false;
        }

        return true;
    }

    /// <summary>
    /// Takes what was announced so far and concerns <paramref name="codeLines"/>, a mask per page. False: nothing does.
    /// </summary>
    internal bool TryTake(ulong* codeLines)
    {
        Taken.Clear();
        lock (_lock)
        {
            foreach (int page in _pages)
            {
                if ((codeLines[page] & _lines[page]) != 0)
                {
                    Taken.Add((page, _lines[page]));
                }

                _lines[page] = 0;
            }

            _pages.Clear();
        }

        return Taken.Count > 0;
    }
}
