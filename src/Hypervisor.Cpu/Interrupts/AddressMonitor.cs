using System.Threading;
using Hypervisor.Core.Memory;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>The line of RAM that MONITOR arms and MWAIT waits for. Spec: SDM volume 3, 8.10.2 to 8.10.4.</summary>
/// <remarks>
/// While a line is armed its page carries <see cref="PageState.Monitored"/>, so that every store to the page announces
/// itself. A store is announced before it lands: who acts on it waits for the bus lock, under which DMA stores. The
/// vCPU's own stores and every delivered event disarm it too, which MWAIT may always take for a reason not to wait.
/// </remarks>
internal sealed unsafe class AddressMonitor : IPageWatcher
{
    private const long LineBytes = 64;
    private const long None = -1;

    private readonly Vcpu _vcpu;
    private readonly bool _canWait;

    // Not in a section: a vCPU that was loaded has nothing armed, so MWAIT goes on at once.
    private long _line = None; // RAM offset; written on the vCPU's thread or paused, read by every storing thread
    private int _isHit;

    /// <summary>Builds the unit of <paramref name="vcpu"/>.</summary>
    internal AddressMonitor(Vcpu vcpu, bool hasPeers)
    {
        _vcpu = vcpu;
        _canWait = !hasPeers;
        if (_canWait)
        {
            vcpu.Ram.WatchMonitor(this);
        }
    }

    /// <summary>Whether the armed line was stored to.</summary>
    internal bool IsHit => Volatile.Read(ref _isHit) != 0; // pairs with BeforeWrite

    /// <summary>Whether an interrupt ends the wait even while IF is 0.</summary>
    internal bool BreaksOnInterrupt { get; private set; }

    /// <summary>Arms the line with the byte at <paramref name="host"/>; not RAM: nothing is armed.</summary>
    internal void Arm(byte* host)
    {
        Disarm();
        if (!_canWait || host < _vcpu.Ram.Base || host >= _vcpu.Ram.Base + _vcpu.Ram.LengthBytes)
        {
            return;
        }

        long offset = _vcpu.Mmu.RamOffset(host);
        long page = offset / PageKernels.PageBytes;
        Volatile.Write(ref _line, offset & ~(LineBytes - 1)); // before the flag that makes others look at it
        _vcpu.Ram.SetFlags(page, PageState.Monitored);
        _vcpu.Mmu.Tlb.RearmPage(_vcpu.Ram.Base + (page * PageKernels.PageBytes));
        _vcpu.Bus.Synchronize(); // a store that did not see the flag has landed: the guest's next load sees it
    }

    /// <summary>MWAIT. False: nothing is armed any more, go on.</summary>
    internal bool TryWait(bool breaksOnInterrupt)
    {
        if (_line == None || IsHit)
        {
            EndWait();
            return false;
        }

        BreaksOnInterrupt = breaksOnInterrupt;
        _vcpu.Events.WaitForStore();
        return true;
    }

    /// <summary>The wait is over: after it the guest sees what was stored.</summary>
    internal void EndWait()
    {
        if (IsHit)
        {
            _vcpu.Bus.Synchronize();
        }

        Disarm();
    }

    /// <summary>MWAIT will not wait before the next MONITOR. On the vCPU's thread, or paused.</summary>
    internal void Disarm()
    {
        if (_line == None)
        {
            return;
        }

        long page = _line / PageKernels.PageBytes;
        Volatile.Write(ref _line, None); // pairs with BeforeWrite
        Volatile.Write(ref _isHit, 0);
        _vcpu.Ram.ClearFlags(page, PageState.Monitored);
    }

    /// <inheritdoc/>
    public void BeforeWrite(long ramOffset, int lengthBytes)
    {
        long line = Volatile.Read(ref _line); // pairs with Arm
        if (line != None && ramOffset < line + LineBytes && line < ramOffset + lengthBytes)
        {
            Volatile.Write(ref _isHit, 1); // before the event byte, which SignalInterrupt orders
            _vcpu.SignalInterrupt();
        }
    }
}
