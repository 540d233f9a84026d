using System.Numerics;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Memory;
using Hypervisor.Cpu.Decode;

namespace Hypervisor.Cpu.Peers;

/// <summary>The vCPUs that share one RAM: which of them hold code of a page, and when all have looked up.</summary>
/// <remarks>
/// Each vCPU decodes for itself. <see cref="PageState.Code"/> is set while any of them holds code of the page, so that
/// every store to it is announced to all that do. A store may be under way that did not see the flag, or did not see
/// the new holder: so who begins to hold code waits, before reading a byte, until every other vCPU has come to a
/// <see cref="SafePoint"/> and has disarmed its write tags for the page.
/// Spec: SDM volume 3, 9.1.3 (the guest orders stores to code and its execution elsewhere by a serializing event).
/// </remarks>
public sealed unsafe class VcpuPeers : IPageWatcher
{
    /// <summary>How many vCPUs may share a RAM: a bit each in a page's set of holders.</summary>
    public const int CountMax = 64;

    private readonly GuestRam _ram;

    // Bit n: vCPU n holds code of the page. Changed under _lock, together with the page's flag.
    private readonly ulong[] _holders;

    // Protects _holders and _members. Taken last: nothing is called under it that waits.
    private readonly Lock _lock = new();
    private Member[] _members = [];

    /// <summary>Watches the code in <paramref name="ram"/>.</summary>
    public VcpuPeers(GuestRam ram)
    {
        _ram = ram;
        _holders = new ulong[ram.PageCount];
        ram.WatchCode(this);
    }

    /// <inheritdoc/>
    public void BeforeWrite(long ramOffset, int lengthBytes)
    {
        ulong holders = Volatile.Read(ref _holders[ramOffset / PageKernels.PageBytes]); // pairs with Hold
        Member[] members = Volatile.Read(ref _members);
        for (; holders != 0; holders &= holders - 1)
        {
            members[BitOperations.TrailingZeroCount(holders)].Code.BeforeWrite(ramOffset, lengthBytes);
        }
    }

    /// <summary>Takes in a vCPU, with its code; returns its number here. Paused, or before it runs.</summary>
    internal int Join(Vcpu vcpu, BlockCache code)
    {
        lock (_lock)
        {
            Check.That(_members.Length < CountMax);
            Volatile.Write(ref _members, [.. _members, new Member(new SafePoint(vcpu), vcpu, code)]);
            return _members.Length - 1;
        }
    }

    /// <summary>The vCPU is in Run from now on.</summary>
    internal void Enter(int number) => _members[number].Point.Enter();

    /// <summary>The vCPU is out of Run: it stores nothing.</summary>
    internal void Leave(int number) => _members[number].Point.Leave();

    /// <summary>Does what others asked of the vCPU. On its thread, between instructions.</summary>
    internal void Serve(int number) => _members[number].Point.Serve();

    /// <summary>
    /// The vCPU is about to read code of a page, to keep it: stores to it are announced from now on, and all that were
    /// not have landed. On its thread, between instructions.
    /// </summary>
    internal void Hold(int number, long page)
    {
        ulong bit = 1ul << number;
        if ((_holders[page] & bit) != 0)
        {
            return; // nobody else changes this bit
        }

        lock (_lock)
        {
            Volatile.Write(ref _holders[page], _holders[page] | bit);
            _ram.SetFlags(page, PageState.Code);
        }

        Vcpu vcpu = _members[number].Vcpu;
        vcpu.Mmu.Tlb.RearmPage(_ram.Base + (page * PageKernels.PageBytes));
        vcpu.Bus.Synchronize();
        WaitForOthers(number, page);
    }

    /// <summary>The vCPU holds no code of the page any more. On its thread, or paused.</summary>
    internal void Release(int number, long page)
    {
        lock (_lock)
        {
            ulong left = _holders[page] & ~(1ul << number);
            Volatile.Write(ref _holders[page], left);
            if (left == 0)
            {
                _ram.ClearFlags(page, PageState.Code);
            }
        }
    }

    /// <summary>Returns once every store that another vCPU has begun by now has landed.</summary>
    internal void WaitForStores(int number) => WaitForOthers(number, SafePoint.NoPage);

    // While it waits it serves: two vCPUs that wait for each other would stay there otherwise.
    private void WaitForOthers(int number, long page)
    {
        Member[] members = Volatile.Read(ref _members);
        ulong* tickets = stackalloc ulong[CountMax];
        for (int i = 0; i < members.Length; i++)
        {
            tickets[i] = i != number ? members[i].Point.Ask(page) : 0;
        }

        SpinWait spin = default;
        for (int i = 0; i < members.Length; i++)
        {
            while (i != number && !members[i].Point.HasServed(tickets[i]))
            {
                members[number].Point.Serve();
                spin.SpinOnce(sleep1Threshold: -1); // microseconds, unless the host has taken the other's CPU away
            }
        }
    }

    private sealed record Member(SafePoint Point, Vcpu Vcpu, BlockCache Code);
}
