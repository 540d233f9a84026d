using System;
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
    /// <summary>How many vCPUs may share a RAM: as many as xAPIC ids address, and more.</summary>
    private const int CountMax = 256;

    private readonly GuestRam _ram;

    // How many hold code of the page. Changed under _lock, together with the page's flag.
    private readonly byte[] _holderCounts;

    // Protects _holderCounts, _members and their Holds. Taken last: nothing is called under it that waits.
    private readonly Lock _lock = new();
    private Member[] _members = [];

    // Held by who keeps all vCPUs out of Run. Taken before every other lock.
    private readonly Lock _aloneLock = new();
    private bool _isClosed; // paired with SafePoint's flag: each side writes its own, then reads the other's

    /// <summary>Watches the code in <paramref name="ram"/>.</summary>
    public VcpuPeers(GuestRam ram)
    {
        _ram = ram;
        _holderCounts = new byte[ram.PageCount];
        ram.WatchCode(this);
    }

    /// <inheritdoc/>
    public void BeforeWrite(long ramOffset, int lengthBytes)
    {
        foreach (Member member in Volatile.Read(ref _members))
        {
            if (Volatile.Read(ref member.Holds[ramOffset / PageKernels.PageBytes])) // pairs with Hold
            {
                member.Code.BeforeWrite(ramOffset, lengthBytes);
            }
        }
    }

    /// <summary>Takes in a vCPU, with its code; returns its number here. Paused, or before it runs.</summary>
    internal int Join(Vcpu vcpu, BlockCache code)
    {
        lock (_lock)
        {
            Check.That(_members.Length < CountMax - 1); // a count fits a byte
            var member = new Member(new SafePoint(vcpu), vcpu, code, new bool[_holderCounts.Length]);
            Volatile.Write(ref _members, [.. _members, member]); // pairs with BeforeWrite
            return _members.Length - 1;
        }
    }

    /// <summary>
    /// Does something while no vCPU is in Run; those that want to go there wait. Out of Run, without the bus lock: a
    /// vCPU may need it to come out.
    /// </summary>
    public void RunAlone(Action action)
    {
        lock (_aloneLock)
        {
            Volatile.Write(ref _isClosed, true);
            Thread.MemoryBarrier(); // pairs with Enter
            foreach (Member member in Volatile.Read(ref _members))
            {
                SpinWait spin = default;
                while (member.Point.IsInside)
                {
                    member.Vcpu.RequestExit(); // again in each turn: it may have come in for a moment, and taken it
                    spin.SpinOnce();
                }
            }

            action();
            Volatile.Write(ref _isClosed, false);
        }
    }

    /// <summary>The vCPU is in Run from now on.</summary>
    internal void Enter(int number)
    {
        SafePoint point = _members[number].Point;
        point.Enter();
        SpinWait spin = default;
        while (Volatile.Read(ref _isClosed)) // pairs with RunAlone
        {
            point.Leave();
            spin.SpinOnce();
            point.Enter();
        }
    }

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
        Member member = _members[number];
        if (member.Holds[page])
        {
            return; // nobody else changes it
        }

        lock (_lock)
        {
            Volatile.Write(ref member.Holds[page], true);
            _holderCounts[page]++;
            _ram.SetFlags(page, PageState.Code);
        }

        member.Vcpu.Mmu.Tlb.RearmPage(_ram.Base + (page * PageKernels.PageBytes));
        member.Vcpu.Bus.Synchronize();
        WaitForOthers(number, page);
    }

    /// <summary>The vCPU holds no code of the page any more. On its thread, or paused.</summary>
    internal void Release(int number, long page)
    {
        lock (_lock)
        {
            ref bool holds = ref _members[number].Holds[page];
            if (holds)
            {
                Volatile.Write(ref holds, false);
                if (--_holderCounts[page] == 0)
                {
                    _ram.ClearFlags(page, PageState.Code);
                }
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

    private sealed record Member(SafePoint Point, Vcpu Vcpu, BlockCache Code, bool[] Holds);
}
