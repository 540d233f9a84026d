using System.IO;
using Hypervisor.Benchmarks.Kit;

namespace Hypervisor.Benchmarks.Systemd;

/// <summary>A machine that boots the installation: its name, and the command that starts it.</summary>
/// <param name="Label">One of <see cref="KitLabels"/>, by which its files are named.</param>
/// <param name="Name">What a report calls it.</param>
/// <param name="Command">Program and words; the serial console is its standard output.</param>
internal sealed record SystemdTarget(string Label, string Name, string[] Command)
{
    private const string KernelWords = "root=/dev/vda rw console=ttyS0 quiet";
    private const string Mebibytes = "1024";

    /// <summary>QEMU's two machines and hv, all with one vCPU, the same memory and the same files.</summary>
    /// <param name="hv">The program measured.</param>
    /// <param name="qemu">QEMU for x86-64.</param>
    /// <param name="files">What systemd-files.sh made.</param>
    /// <param name="disk">The copy of disk.img that the guest writes to.</param>
    public static SystemdTarget[] All(string hv, string qemu, string files, string disk)
    {
        string kernel = Path.Combine(files, "vmlinuz"), initrd = Path.Combine(files, "initrd.img");
        return
        [
            Qemu(KitLabels.Tcg),
            Qemu(KitLabels.TcgQ35),
            new SystemdTarget(KitLabels.Ours, KitLabels.Ours,
            [
                hv, "run", "--cpus", "1", "--memory", Mebibytes + "M", "--kernel", kernel, "--initrd", initrd,
                "--append", KernelWords, "--drive", $"file={disk},format=raw,cache=unsafe",
            ]),
        ];

        SystemdTarget Qemu(string machine) => new(machine, "TCG " + machine,
        [
            qemu, "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-serial", "stdio",
            "-no-reboot", "-M", machine, "-accel", "tcg", "-smp", "1", "-m", Mebibytes,
            "-kernel", kernel, "-initrd", initrd, "-append", KernelWords,
            "-drive", $"if=none,id=d0,file={disk},format=raw,cache=unsafe", "-device", "virtio-blk-pci,drive=d0",
        ]);
    }
}
