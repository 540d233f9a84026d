using System;
using System.CommandLine;
using System.IO;
using Hypervisor.Backends.Block;
using Hypervisor.CommandLine;
using Hypervisor.Machine;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class MachineOptionsTests
{
    [Fact]
    public void Nothing_said_means_the_documented_defaults()
    {
        MachineConfig machine = Read();

        Assert.Equal(512L << 20, machine.MemoryBytes);
        Assert.Equal(1, machine.CpuCount);
        Assert.Null(machine.CpuModel);
        Assert.Null(machine.DebugExitPort);
        Assert.Equal([new SerialConfig(SerialKind.Stdio)], machine.Serials);
        Assert.Empty(machine.Drives);
    }

    [Fact]
    public void Every_word_reaches_the_config()
    {
        string kernel = Path.GetTempFileName();
        byte[] elf = [0x7F, (byte)'E', (byte)'L', (byte)'F'];
        File.WriteAllBytes(kernel, elf);

        MachineConfig machine = Read(
            "--memory", "64M", "--cpus", "2", "--cpu", "x86-64-v2", "--kernel", kernel, "--append", "-quiet a=b",
            "--drive", "file=a,,b.img,cache=none,id=root,readonly=on", "--drive", "file=c.img",
            "--serial", "file:log", "--serial", "tcp:[::1]:4555,server", "--debug-exit", "0xf4", "--snapshot",
            "--no-reboot", "--rtc", "base=2001-02-03T04:05:06", "--name", "web",
            "--uuid", "00112233-4455-6677-8899-aabbccddeeff");
        File.Delete(kernel);

        Assert.Equal(64L << 20, machine.MemoryBytes);
        Assert.Equal(2, machine.CpuCount);
        Assert.Equal("x86-64-v2", machine.CpuModel);
        Assert.Equal(elf, machine.Kernel!.Head(4));
        Assert.Equal("-quiet a=b", machine.CommandLine);
        Assert.Equal(
            [
                new DriveOptions("a,b.img")
                {
                    Id = "root",
                    IsSnapshot = true,
                    Cache = CacheMode.None,
                    IsReadOnly = true,
                },
                new DriveOptions("c.img") { Id = "disk1", IsSnapshot = true },
            ],
            machine.Drives);
        Assert.Equal(
            [
                new SerialConfig(SerialKind.File, "log"),
                new SerialConfig(SerialKind.Tcp, "::1", 4555, IsServer: true, WaitsForPeer: true),
            ],
            machine.Serials);
        Assert.Equal(0xF4, machine.DebugExitPort);
        Assert.True(machine.StopsOnReset);
        Assert.Equal(new DateTime(2001, 2, 3, 4, 5, 6), machine.RtcStart);
        Assert.Equal("web", machine.Name);
        Assert.Equal(Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"), machine.Uuid);
    }

    [Theory]
    [InlineData("64", 64L << 20)] // megabytes, as QEMU's -m
    [InlineData("64M", 64L << 20)]
    [InlineData("65536k", 64L << 20)]
    [InlineData("1.5G", 1536L << 20)]
    public void Memory_is_written_as_for_qemu(string text, long bytes)
        => Assert.Equal(bytes, Read("--memory", text).MemoryBytes);

    [Fact]
    public void Debug_exit_without_a_port_is_at_501() => Assert.Equal(0x501, Read("--debug-exit").DebugExitPort);

    [Fact]
    public void Identity_follows_from_the_name()
    {
        Assert.Equal(Read("--name", "a").Uuid, Read("--name", "a").Uuid);
        Assert.NotEqual(Read("--name", "a").Uuid, Read("--name", "b").Uuid);
    }

    [Fact]
    public void What_is_written_as_words_is_read_back()
    {
        MachineConfig machine = Read(
            "--memory", "64M", "--cpus", "2", "--cpu", "x86-64-v2", "--guest", "counting", "--append", "steps=3",
            "--drive", "file=a,,b.img,cache=none,id=root,readonly=on,discard=unmap", "--drive", "file=c.img",
            "--serial", "tcp:[::1]:4555,server,nowait", "--serial", "null", "--debug-exit", "--no-reboot",
            "--console", "file:hvc", "--net", "tap,ifname=tap0", "--net", "socket,fd=4", "--name", "web");

        MachineConfig again = Read([.. MachineOptions.Write(machine, isStandby: false)]);

        Assert.Equal(machine.Kernel!.Name, again.Kernel!.Name);
        Assert.Equal(machine.Drives, again.Drives);
        Assert.Equal(machine.Serials, again.Serials);
        Assert.Equal(machine.Networks, again.Networks);
        Assert.Equal(2, again.Networks.Count);
        Assert.True(again.Serials[^1].IsVirtio);
        Assert.Equal(machine.RtcStart, again.RtcStart, TimeSpan.FromSeconds(1));
        Assert.Equal(
            machine with { Kernel = null, Drives = [], Serials = [], Networks = [], RtcStart = default },
            again with { Kernel = null, Drives = [], Serials = [], Networks = [], RtcStart = default });
        Assert.Null(Read([.. MachineOptions.Write(machine, isStandby: true)]).Kernel);
    }

    private static MachineConfig Read(params string[] words)
    {
        var command = new Command("test");
        MachineOptions.AddTo(command);
        return MachineOptions.Read(command.Parse(words), TimeProvider.System);
    }
}
