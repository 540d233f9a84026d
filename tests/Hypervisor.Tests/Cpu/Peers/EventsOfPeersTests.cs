using System;
using System.Threading;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Cpu.Peers;

public sealed unsafe class EventsOfPeersTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Init_and_startup_start_a_waiting_vcpu_even_when_they_come_together(bool looksBetween)
    {
        using var program = new AsmProgram(CpuMode.Real, a => a.hlt());
        Vcpu peer = program.AddPeer();
        Assert.Equal(VcpuExit.Halted, peer.Run());

        peer.LocalApic.Accept(DeliveryMode.Init, 0, isLevel: false);
        if (looksBetween)
        {
            Assert.Equal(VcpuExit.Halted, peer.Run());
        }

        peer.LocalApic.Accept(DeliveryMode.StartUp, (byte)(AsmProgram.Code >> 12), isLevel: false);
        Assert.Equal(VcpuExit.Halted, peer.Run());

        Assert.Equal(Activity.Halted, peer.State->Activity);
        Assert.Equal(1ul, peer.State->Rip);
    }

    [Fact]
    public void Event_that_comes_while_another_is_looked_at_is_kept()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.hlt());
        int lost = 0;
        int taken = 0;
        const int Count = 200_000;
        const long LostAfterMillis = 20_000;
        var other = new Thread(() =>
        {
            for (int i = 0; i < Count; i++)
            {
                program.Vcpu.SetEvent(EventBytes.Interrupt);
                var spin = default(SpinWait);
                long start = Environment.TickCount64;
                while (Volatile.Read(ref taken) <= i)
                {
                    spin.SpinOnce(sleep1Threshold: -1);
                    if (Environment.TickCount64 - start > LostAfterMillis)
                    {
                        lost++;
                        return;
                    }
                }
            }
        });
        other.Start();
        while (other.IsAlive)
        {
            if (program.Vcpu.TakeEvent(EventBytes.Interrupt))
            {
                Volatile.Write(ref taken, taken + 1);
            }
        }

        Assert.Equal(0, lost);
        Assert.Equal(Count, taken);
    }
}
