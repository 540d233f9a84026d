using System.Threading;
using Hypervisor.Core.Memory;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Peers;

/// <summary>Where a vCPU stands between two instructions: no store of its own is under way.</summary>
/// <remarks>
/// Other threads <see cref="Ask"/> and see by the ticket when it was there; out of Run it stands there all the time.
/// What was asked meanwhile is done before it runs again.
/// </remarks>
internal sealed unsafe class SafePoint(Vcpu vcpu)
{
    /// <summary>Asks for nothing but to come here.</summary>
    internal const long NoPage = -1;

    // While a halted vCPU is asked for more, it is cheaper to disarm everything once it runs.
    private const int PagesMax = 32;

    // Protects _pages, _count, _isEvery, _asked. Taken last.
    private readonly Lock _lock = new();
    private readonly long[] _pages = new long[PagesMax];
    private int _count;
    private bool _isEvery;
    private ulong _asked;
    private ulong _served; // written on the vCPU's thread only
    private int _isInside;

    /// <summary>
    /// Asks the vCPU to come here and to send the next store to <paramref name="page"/> through the slow path. Any
    /// thread but its own. Returns the ticket for <see cref="HasServed"/>.
    /// </summary>
    internal ulong Ask(long page)
    {
        ulong ticket;
        lock (_lock)
        {
            if (page != NoPage && _count < PagesMax)
            {
                _pages[_count++] = page;
            }
            else if (page != NoPage)
            {
                _isEvery = true;
            }

            ticket = ++_asked;
        }

        vcpu.SetEvent(EventBytes.Peers); // with a fence: pairs with Enter
        return ticket;
    }

    /// <summary>Whether the vCPU is in Run. Any thread.</summary>
    internal bool IsInside => Volatile.Read(ref _isInside) != 0; // pairs with Enter and Leave

    /// <summary>Whether the vCPU has been here since <see cref="Ask"/>. Any thread.</summary>
    internal bool HasServed(ulong ticket)
        => !IsInside || Volatile.Read(ref _served) >= ticket; // pairs with Serve

    /// <summary>The vCPU is about to run. On its thread.</summary>
    internal void Enter()
    {
        Volatile.Write(ref _isInside, 1);
        Thread.MemoryBarrier(); // pairs with Ask: either the asker sees it inside, or it sees the question
        Serve();
    }

    /// <summary>The vCPU stores nothing any more. On its thread.</summary>
    internal void Leave() => Volatile.Write(ref _isInside, 0); // pairs with HasServed: after its last store

    /// <summary>Does what was asked. On the vCPU's thread, between instructions.</summary>
    internal void Serve()
    {
        if (Volatile.Read(ref _asked) == _served)
        {
            return;
        }

        lock (_lock)
        {
            if (_isEvery)
            {
                vcpu.Mmu.Tlb.RearmWrites();
            }
            else
            {
                for (int i = 0; i < _count; i++)
                {
                    vcpu.Mmu.Tlb.RearmPage(vcpu.Ram.Base + (_pages[i] * PageKernels.PageBytes));
                }
            }

            _count = 0;
            _isEvery = false;
            Volatile.Write(ref _served, _asked); // pairs with HasServed: after every store so far
        }
    }
}
