using Hypervisor.Guest.Code;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest;

/// <summary>
/// The guest of the main job. Per step it counts, dirties memory and checks it, writes a <see cref="StepRecord"/> to each
/// virtio-blk disk, flushes, and prints "step N".
/// </summary>
/// <remarks>
/// Words of its command line, all optional:
/// <code>
/// steps=N      end after N steps; 0 (default): never
/// dirty=N      pages written per step, 16
/// area=N       pages that they are spread over, 1024
/// pace=N       microseconds to rest after each step, 0
/// slots=N      sectors used for records on each disk, 1024
/// disk=on|off  off: leave the disks alone
/// end=exit|off|halt   how to end: debug-exit port 501 with 0 (default), ACPI power-off, HLT
/// </code>
/// Ends with 1 after "CORRUPT" (memory), 2 after "EXCEPTION", 3 after "DISK ERROR" at the debug-exit port.
/// </remarks>
public static class CountingGuest
{
    private const uint DirtyPagesDefault = 16;
    private const uint AreaPagesDefault = 1024;

    /// <summary>The guest as a PVH ELF file.</summary>
    public static byte[] Build() => GuestProgram.Build(Emit);

    private static void Emit(Assembler c)
    {
        var routines = new GuestRoutines(c);
        var interrupts = new InterruptRoutines(c, routines);
        var setup = new VirtioBlkSetup(c, routines);
        var requests = new VirtioBlkRequests(c, routines);
        var memory = new MemoryPattern(c, routines);

        routines.InitializeSerial();
        routines.Print("counting guest\n");
        ReadOptions(routines);
        interrupts.Initialize();
        CalibrateIfPaced(c, interrupts);
        memory.Initialize();
        FindDisksIfOn(c, setup);
        routines.Print("disks ");
        c.mov(rax, __qword_ptr[GuestMemory.DiskCount]);
        routines.PrintNumber();
        routines.Print("\n");
        EmitLoop(c, routines, interrupts, requests, memory);

        routines.Emit();
        interrupts.Emit();
        setup.Emit();
        requests.Emit();
        memory.Emit();
    }

    private static void ReadOptions(GuestRoutines routines)
    {
        routines.NumberOption("steps", 0, GuestMemory.Steps);
        routines.NumberOption("dirty", DirtyPagesDefault, GuestMemory.DirtyPages);
        routines.NumberOption("area", AreaPagesDefault, GuestMemory.AreaPages);
        routines.NumberOption("pace", 0, GuestMemory.PaceMicros);
        routines.NumberOption("slots", StepRecord.SlotsDefault, GuestMemory.Slots);
        routines.LetterOption("disk=o", 'n', GuestMemory.DisksOn);
        routines.LetterOption("end=", 'e', GuestMemory.EndMode);
    }

    private static void CalibrateIfPaced(Assembler c, InterruptRoutines interrupts)
    {
        Label skip = c.CreateLabel();
        c.cmp(__qword_ptr[GuestMemory.PaceMicros], 0);
        c.je(skip);
        interrupts.CalibrateTimer();
        c.Label(ref skip);
        c.nop();
    }

    private static void FindDisksIfOn(Assembler c, VirtioBlkSetup setup)
    {
        Label skip = c.CreateLabel();
        c.cmp(__byte_ptr[GuestMemory.DisksOn], (sbyte)'f'); // second letter of "off"
        c.je(skip);
        setup.FindDisks();
        c.Label(ref skip);
        c.nop();
    }

    private static void EmitLoop(
        Assembler c, GuestRoutines routines, InterruptRoutines interrupts, VirtioBlkRequests requests, MemoryPattern memory)
    {
        Label loop = c.CreateLabel();
        c.Label(ref loop);
        c.inc(__qword_ptr[GuestMemory.Step]);
        memory.Step();
        requests.WriteStep();
        routines.Print("step ");
        c.mov(rax, __qword_ptr[GuestMemory.Step]);
        routines.PrintNumber();
        routines.Print("\n");
        interrupts.Rest();
        c.mov(rax, __qword_ptr[GuestMemory.Step]);
        c.cmp(rax, __qword_ptr[GuestMemory.Steps]); // 0 is never reached
        c.jne(loop);
        routines.Print("done\n");
        routines.End(0);
    }
}
