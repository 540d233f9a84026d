using System.Buffers.Binary;
using System.Threading;
using Hypervisor.Cpu;
using Hypervisor.Guest.Code;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Machine;

public sealed class IdleTests
{
    private const int Started = 0x9000, Wanted = 0x9004;

    [Theory]
    [InlineData(1)]
    [InlineData(2)] // the second one never starts: it has nothing to do
    public void Who_asks_is_told_once_when_the_last_vcpu_halts(int cpuCount)
    {
        using var guest = new RunningGuest(cpuCount: cpuCount, engine: ExecutionEngine.Translator);
        guest.Boot("", GuestProgram.Build(c =>
        {
            Label busy = c.CreateLabel();
            c.mov(__dword_ptr[Started], 1);
            c.Label(ref busy);
            c.cmp(__dword_ptr[Wanted], 0);
            c.je(busy);
            c.cli();
            c.hlt();
        }));
        guest.Machine.Resume();
        guest.Await(() => Read(guest, Started) != 0, "the guest");
        int told = 0;
        guest.Machine.WhenIdle(() => Interlocked.Increment(ref told));
        Thread.SpinWait(100_000);
        Assert.Equal(0, Volatile.Read(ref told));

        guest.Machine.Ram.WritableBytes(Wanted, 1)[0] = 1;
        guest.Await(() => Volatile.Read(ref told) > 0, "the word");
        guest.Machine.WhenIdle(() => Interlocked.Increment(ref told)); // it is idle now
        guest.Await(() => Volatile.Read(ref told) == 2, "the second word");
        guest.Machine.Pause();
        guest.Machine.WhenIdle(() => Interlocked.Increment(ref told)); // afterwards
        guest.Machine.Resume();

        guest.Await(() => Volatile.Read(ref told) == 3, "all three words");
    }

    private static uint Read(RunningGuest guest, int address)
        => BinaryPrimitives.ReadUInt32LittleEndian(guest.Machine.Ram.ReadOnlyBytes(address, sizeof(uint)));
}
