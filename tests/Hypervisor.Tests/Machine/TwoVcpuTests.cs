using System;
using System.Buffers.Binary;
using System.IO;
using System.Threading;
using Hypervisor.Cpu;
using Hypervisor.Guest.Code;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Machine;

/// <summary>
/// A guest whose two vCPUs count in turn, each in a register and in RAM: a cut that takes them apart, or from RAM, is
/// seen by the guest itself.
/// </summary>
public sealed class TwoVcpuTests
{
    private const int StartPage = 0x8;
    private const int StartCode = StartPage << 12;
    private const int Turn = 0x9000, FirstCount = 0x9004, SecondCount = 0x9008, Error = 0x900C;
    private const int InterruptCommandLow = 0x300, InterruptCommandHigh = 0x310;
    private const int Init = 0x4500, Startup = 0x4600;

    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Rule_10_cut_holds_both_vcpus_at_one_instant(ExecutionEngine engine)
    {
        using RunningGuest guest = Booted(engine);
        guest.Machine.Resume();
        guest.Await(() => Read(guest, SecondCount) > 100, "the second vCPU");
        for (int round = 0; round < 10; round++)
        {
            uint started = Read(guest, SecondCount);
            guest.Await(() => Read(guest, SecondCount) > started + 100, "more turns");
            guest.Machine.Pause();
            uint first = Read(guest, FirstCount);
            uint second = Read(guest, SecondCount);
            Thread.SpinWait(10_000);

            Assert.InRange(first - second, 0u, 1u);
            Assert.Equal((first, second), (Read(guest, FirstCount), Read(guest, SecondCount)));
            using RunningGuest standby = New(engine).LoadFrom(guest);
            standby.Machine.Resume();
            guest.Machine.Resume();
            standby.Await(
                () => Read(standby, SecondCount) > second + 100 || Read(standby, Error) != 0, "turns at the standby");
            Assert.Equal(0u, Read(standby, Error));
        }

        Assert.Equal(0u, Read(guest, Error));
    }

    private static RunningGuest New(ExecutionEngine engine) => new(cpuCount: 2, engine: engine);

    private static RunningGuest Booted(ExecutionEngine engine)
    {
        RunningGuest guest = New(engine);
        guest.Boot("", FirstVcpu());
        byte[] code = SecondVcpu();
        code.CopyTo(guest.Machine.Ram.WritableBytes(StartCode, code.Length));
        return guest;
    }

    // The two messages come as close as they can: no delay, as some kernels do.
    private static byte[] FirstVcpu() => GuestProgram.Build(c =>
    {
        c.mov(ebx, 0xFEE0_0000u);
        c.mov(__dword_ptr[rbx + InterruptCommandHigh], 1 << 24);
        c.mov(__dword_ptr[rbx + InterruptCommandLow], Init);
        c.mov(__dword_ptr[rbx + InterruptCommandLow], Startup | StartPage);
        c.xor(ecx, ecx);
        Count(c, mine: 0, FirstCount);
    });

    // In real mode.
    private static byte[] SecondVcpu()
    {
        var c = new Assembler(16);
        c.xor(ax, ax);
        c.mov(ds, ax);
        c.xor(ecx, ecx);
        Count(c, mine: 1, SecondCount);
        using var code = new MemoryStream();
        c.Assemble(new StreamCodeWriter(code), 0);
        return code.ToArray();
    }

    private static void Count(Assembler c, int mine, int count)
    {
        Label wait = c.CreateLabel();
        Label wrong = c.CreateLabel();
        c.Label(ref wait);
        c.pause();
        c.cmp(__byte_ptr[Turn], mine);
        c.jne(wait);
        c.cmp(__dword_ptr[count], ecx);
        c.jne(wrong);
        c.inc(ecx);
        c.mov(__dword_ptr[count], ecx);
        c.mov(__byte_ptr[Turn], 1 - mine);
        c.jmp(wait);
        c.Label(ref wrong);
        c.mov(__byte_ptr[Error], 1);
        c.hlt();
    }

    private static uint Read(RunningGuest guest, int gpa)
        => BinaryPrimitives.ReadUInt32LittleEndian(guest.Machine.Ram.ReadOnlyBytes(gpa, sizeof(uint)));
}
