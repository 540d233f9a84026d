using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Cpu;
using Hypervisor.Machine;
using Hypervisor.Machine.Boot;

namespace Hypervisor.CommandLine;

/// <summary>The options that describe a machine, and their way into a <see cref="MachineConfig"/>.</summary>
/// <remarks>
/// Every value is taken as text and parsed here, so that each message says what is allowed. Files that the guest
/// starts from are read here too: a missing one is refused before anything else happens.
/// </remarks>
internal sealed class MachineOptions
{
    private const long MemoryUnitBytes = 1L << 20; // a number without suffix, as QEMU's -m

    /// <summary>`--drive`, also watched by commands that change what drives mean.</summary>
    public static readonly Option<string[]> Drive = OptionShapes.Many(
        "--drive", "file=PATH,…", "A virtio-blk disk: file=PATH[,format=raw][,cache=none|directsync|writethrough|"
        + "writeback|unsafe][,id=NAME][,readonly=on|off][,discard=ignore|unmap]"
        + "[,shared=on|off] (on: both halves of a pair reach this very image). "
        + "May be repeated; the first one boots.");

    private static readonly Option<string> s_name = OptionShapes.One(
        "--name", "NAME", "Name in messages and status lines.");

    private static readonly Option<string> s_memory = OptionShapes.One(
        "--memory", "SIZE", "RAM of the guest [default: 512M].", "-m");

    private static readonly Option<string> s_cpus = OptionShapes.One(
        "--cpus", "COUNT", "Number of vCPUs [default: 1].", "--smp");

    private static readonly Option<string> s_cpu = OptionShapes.One(
        "--cpu", "MODEL", "x86-64-v1 to x86-64-v4 (AVX-512) [default: the best up to v3 that the host has].");

    private static readonly Option<string> s_engine = OptionShapes.One(
        "--engine", "ENGINE", "What executes the guest: translator [default] or interpreter.");

    private static readonly Option<string> s_codeCache = OptionShapes.One(
        "--code-cache", "SIZE", "Memory for translated code, for each vCPU [default: 128M].");

    private static readonly Option<string> s_guest = OptionShapes.One(
        "--guest", "NAME", $"An embedded test guest instead of --kernel: {string.Join(", ", EmbeddedGuests.Names)}.");

    private static readonly Option<string> s_kernel = OptionShapes.One(
        "--kernel", "PATH", "bzImage, PVH ELF or multiboot ELF.");

    private static readonly Option<string> s_initrd = OptionShapes.One(
        "--initrd", "PATH", "Initial RAM disk for the kernel.");

    private static readonly Option<string> s_append = OptionShapes.One(
        "--append", "TEXT", "Command line of the kernel.");

    private static readonly Option<string> s_firmware = OptionShapes.One(
        "--firmware", "PATH", "Firmware image (SeaBIOS, OVMF) instead of the built-in one.", "--bios");

    private static readonly Option<string[]> s_serial = OptionShapes.Many(
        "--serial", "WHERE", "A serial line: stdio, null, file:PATH or tcp:HOST:PORT[,server[,nowait]]. "
        + "May be repeated for COM2 to COM4 [default: stdio].");

    private static readonly Option<string> s_console = OptionShapes.One(
        "--console", "WHERE", "A virtio console (hvc0 in Linux), to where --serial can go [default: none].");

    /// <summary>`--net`, also watched by commands that change what NICs mean.</summary>
    public static readonly Option<string[]> Net = OptionShapes.Many(
        "--net", "KIND,…", "A virtio-net NIC: tap,ifname=NAME[,queues=N] (a TAP interface), "
        + "user[,hostfwd=tcp:127.0.0.1:2222-:22] (through passt, without any right), socket,listen=|connect=HOST:PORT|"
        + "fd=N (frames over a stream); each with [,mac=52:54:00:12:34:56][,mtu=1500]. May be repeated "
        + "[default: none].");

    private static readonly Option<string> s_balloon = OptionShapes.One(
        "--balloon", "virtio,…", "A memory balloon, for hv balloon: virtio[,deflate-on-oom=on|off]"
        + "[,free-page-reporting=on|off] (free pages go back to the host by themselves) [default: none].");

    private static readonly Option<string> s_debugExit = new("--debug-exit")
    {
        Arity = ArgumentArity.ZeroOrOne,
        HelpName = "PORT",
        Description = "Add isa-debug-exit: a write of N to PORT [default: 0x501] ends hv with exit code 2N+1.",
    };

    private static readonly Option<bool> s_snapshot = OptionShapes.Switch(
        "--snapshot", "Throw the guest's writes away at the end; no image is changed.");

    private static readonly Option<bool> s_noReboot = OptionShapes.Switch(
        "--no-reboot", "End instead of starting again when the guest resets.");

    private static readonly Option<string> s_rtc = OptionShapes.One(
        "--rtc", "base=…", "What the clock shows at power-on: base=utc [default], base=localtime or "
        + "base=YYYY-MM-DDThh:mm:ss.");

    private static readonly Option<string> s_uuid = OptionShapes.One(
        "--uuid", "UUID", "Identity of the machine [default: from its name].");

    private static readonly Option[] s_all =
    [
        s_memory, s_cpus, s_cpu, s_engine, s_codeCache, s_guest, s_kernel, s_initrd, s_append, s_firmware, Drive,
        Net, s_serial, s_console, s_balloon, s_debugExit, s_snapshot, s_noReboot, s_rtc, s_name, s_uuid,
    ];

    /// <summary>Adds the options to a command.</summary>
    public static void AddTo(Command command)
    {
        foreach (Option option in s_all)
        {
            command.Add(option);
        }
    }

    /// <summary>Parses, reads and checks everything that was said about the machine.</summary>
    /// <exception cref="UsageException">The words are wrong.</exception>
    /// <exception cref="BootException">A file cannot be read.</exception>
    public static MachineConfig Read(ParseResult words, TimeProvider time)
    {
        string name = words.GetValue(s_name) ?? "guest";
        string? console = words.GetValue(s_console);
        string[] serials = words.GetValue(s_serial) is { Length: > 0 } given ? given
            : console == "stdio" ? ["null"] : ["stdio"];
        Guid uuid = UuidText.Parse("--uuid", words.GetValue(s_uuid), name);
        var config = new MachineConfig
        {
            Name = name,
            Uuid = uuid,
            MemoryBytes = ReadMemory(words.GetValue(s_memory)),
            CpuCount = ReadInteger("--cpus", words.GetValue(s_cpus), 1, 1, MachineConfig.CpuCountMax),
            CpuModel = ReadCpu(words.GetValue(s_cpu)),
            Engine = ReadEngine(words.GetValue(s_engine)),
            CodeCacheBytes = ReadCodeCache(words.GetValue(s_codeCache)),
            Drives = ReadDrives(words),
            Networks = NetText.ParseAll(Net.Name, words.GetValue(Net) ?? [], uuid),
            Serials = SerialText.ParseAll(serials, s_console.Name, console),
            Balloon = BalloonText.Parse(s_balloon.Name, words.GetValue(s_balloon)),
            DebugExitPort = ReadDebugExit(words),
            StopsOnReset = words.GetValue(s_noReboot),
            RtcStart = RtcText.Parse("--rtc", words.GetValue(s_rtc) ?? "base=utc", time),
        };
        return ReadBootFiles(words, config);
    }

    /// <summary>Writes a machine as words, such that <see cref="Read"/> reads the same machine back.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="isStandby">Whether to leave out what a standby gets from its primary.</param>
    public static List<string> Write(MachineConfig machine, bool isStandby)
    {
        List<string> words =
        [
            s_name.Name, machine.Name,
            s_uuid.Name, machine.Uuid.ToString("D"),
            s_memory.Name, SizeText.Write(machine.MemoryBytes),
            s_engine.Name, machine.Engine == ExecutionEngine.Translator ? "translator" : "interpreter",
            s_codeCache.Name, SizeText.Write(machine.CodeCacheBytes),
            s_cpus.Name, machine.CpuCount.ToString(CultureInfo.InvariantCulture),
            s_rtc.Name, $"base={RtcText.Write(machine.RtcStart)}",
            .. machine.CpuModel is null ? (string[])[] : [s_cpu.Name, machine.CpuModel],
            .. machine.Balloon is null ? (string[])[] : [s_balloon.Name, BalloonText.Write(machine.Balloon)],
            .. machine.StopsOnReset ? (string[])[s_noReboot.Name] : [],
            .. machine.Drives.Any(drive => drive.IsSnapshot) ? (string[])[s_snapshot.Name] : [],
        ];
        machine.Drives.ToList().ForEach(drive => words.AddRange([Drive.Name, DriveText.Write(drive)]));
        machine.Networks.ToList().ForEach(network => words.AddRange([Net.Name, NetText.Write(network)]));
        machine.Serials.ToList().ForEach(serial => words.AddRange(
            [serial.IsVirtio ? s_console.Name : s_serial.Name, SerialText.Write(serial)]));
        if (machine.DebugExitPort is { } port)
        {
            words.AddRange([s_debugExit.Name, port.ToString(CultureInfo.InvariantCulture)]);
        }

        if (!isStandby)
        {
            AddBootWords(words, machine);
        }

        return words;
    }

    private static void AddBootWords(List<string> words, MachineConfig machine)
    {
        bool isEmbedded = machine.Kernel is not null && EmbeddedGuests.Names.Contains(machine.Kernel.Name);
        (Option<string> Option, string? Value)[] all =
        [
            (isEmbedded ? s_guest : s_kernel, machine.Kernel?.Name),
            (s_initrd, machine.Initrd?.Name),
            (s_firmware, machine.Firmware?.Name),
            (s_append, machine.CommandLine.Length == 0 ? null : machine.CommandLine),
        ];
        foreach ((Option<string> option, string? value) in all)
        {
            if (value is not null)
            {
                words.AddRange([option.Name, value]);
            }
        }
    }

    private static MachineConfig ReadBootFiles(ParseResult words, MachineConfig config)
    {
        string? guest = ReadChoice("--guest", words.GetValue(s_guest), EmbeddedGuests.Names);
        string? kernel = words.GetValue(s_kernel);
        if (guest is not null && kernel is not null)
        {
            throw new UsageException($"--guest {guest}: there is a --kernel too; allowed: one of the two");
        }

        string? initrd = words.GetValue(s_initrd);
        if (initrd is not null && kernel is null)
        {
            throw new UsageException($"--initrd {initrd}: there is no kernel to give it to; allowed: with --kernel");
        }

        string? append = words.GetValue(s_append);
        if (append is not null && kernel is null && guest is null)
        {
            throw new UsageException("--append: there is no kernel to give it to; allowed: with --kernel or --guest");
        }

        return config with
        {
            Kernel = guest is not null ? EmbeddedGuests.Open(guest) : Open("kernel", kernel),
            Initrd = Open("initrd", initrd),
            Firmware = Open("firmware", words.GetValue(s_firmware)),
            CommandLine = append ?? "",
        };
    }

    private static BootFile? Open(string role, string? path) => path is null ? null : BootFile.Open(role, path);

    private static List<DriveOptions> ReadDrives(ParseResult words)
    {
        bool isSnapshot = words.GetValue(s_snapshot);
        List<DriveOptions> drives = DriveText.ParseAll(Drive.Name, words.GetValue(Drive) ?? []);
        if (isSnapshot && drives.Exists(drive => drive.IsShared))
        {
            throw new UsageException("--snapshot: a drive is shared; allowed: without shared=on");
        }

        return drives.ConvertAll(drive => drive with { IsSnapshot = isSnapshot });
    }

    private static long ReadMemory(string? text)
    {
        if (text is null)
        {
            return MachineConfig.MemoryBytesDefault;
        }

        long bytes = SizeText.Parse("--memory", text, MemoryUnitBytes);
        long largest = HostLimits.MemoryBytes();
        if (bytes < MachineConfig.MemoryBytesMin || bytes > largest || bytes % MemoryUnitBytes != 0)
        {
            throw new UsageException($"--memory: {text} cannot be the guest's RAM; allowed: whole megabytes from "
                + $"{MachineConfig.MemoryBytesMin >> 20}M to this host's {largest >> 20}M");
        }

        return bytes;
    }

    private static long ReadCodeCache(string? text)
    {
        long bytes = text is null
            ? MachineConfig.CodeCacheBytesDefault
            : SizeText.Parse("--code-cache", text, MemoryUnitBytes);
        return bytes is >= MachineConfig.CodeCacheBytesMin and <= MachineConfig.CodeCacheBytesMax
            && bytes % MemoryUnitBytes == 0
            ? bytes
            : throw new UsageException($"--code-cache: {text} cannot hold translated code; allowed: whole megabytes "
                + $"from {MachineConfig.CodeCacheBytesMin >> 20}M to {MachineConfig.CodeCacheBytesMax >> 20}M");
    }

    private static ExecutionEngine ReadEngine(string? text) => text switch
    {
        null or "translator" => ExecutionEngine.Translator,
        "interpreter" => ExecutionEngine.Interpreter,
        _ => throw new UsageException($"--engine: '{text}' is not known; allowed: translator, interpreter"),
    };

    private static int? ReadDebugExit(ParseResult words)
    {
        if (words.GetResult(s_debugExit) is null)
        {
            return null;
        }

        string? text = words.GetValue(s_debugExit);
        return text is null
            ? MachineConfig.DebugExitPortDefault
            : ReadInteger("--debug-exit", text, 0, 1, ushort.MaxValue);
    }

    private static string? ReadCpu(string? text)
    {
        string? model = ReadChoice("--cpu", text, MachineConfig.CpuModels);
        string lacking = model is null ? "" : MachineConfig.Lacking(model);
        return lacking.Length == 0
            ? model
            : throw new UsageException($"--cpu: '{model}' needs {lacking}, which this host lacks; allowed here: "
                + string.Join(", ", MachineConfig.CpuModels.Where(other => MachineConfig.Lacking(other).Length == 0)));
    }

    private static string? ReadChoice(string option, string? text, IReadOnlyList<string> allowed)
    {
        foreach (string choice in allowed)
        {
            if (choice == text)
            {
                return text;
            }
        }

        return text is null
            ? null
            : throw new UsageException($"{option}: '{text}' is not known; allowed: {string.Join(", ", allowed)}");
    }

    private static int ReadInteger(string option, string? text, int otherwise, int smallest, int largest)
    {
        if (text is null)
        {
            return otherwise;
        }

        bool isHex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        NumberStyles style = isHex ? NumberStyles.AllowHexSpecifier : NumberStyles.None;
        ReadOnlySpan<char> digits = isHex ? text.AsSpan(2) : text;
        return int.TryParse(digits, style, CultureInfo.InvariantCulture, out int value)
            && value >= smallest && value <= largest
            ? value
            : throw new UsageException(
                $"{option}: '{text}' does not fit; allowed: a number from {smallest} to {largest}");
    }
}
