using System.Collections.Generic;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Firmware;

/// <summary>The 16-bit code of the firmware: power-on, the common path of the services, hardware interrupts.</summary>
internal sealed class FirmwareCode
{
    private const int MasterPic = 0x20;
    private const int SlavePic = 0xA0;
    private const int EndOfInterrupt = 0x20;
    private const uint TicksPerDay = 0x18_00B0;
    private const int StatusOffset = FirmwareLayout.FrameVector + 1;

    // Ports and values of the power-on sequence, in order.
    private static readonly (ushort Port, byte Value)[] s_setup =
    [
        (0x92, 0x02),                                           // A20 on
        (0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), // master PIC: vectors 08h-0Fh
        (0xA0, 0x11), (0xA1, 0x70), (0xA1, 0x02), (0xA1, 0x01), // slave PIC: vectors 70h-77h
        (0x21, 0xFA), (0xA1, 0xFF),                             // only the timer and the cascade
        (0x4D1, 0x0C),                                          // IRQ 10 and 11 are level-triggered: PCI
        (0x43, 0x36), (0x40, 0x00), (0x40, 0x00),               // PIT channel 0: mode 3, 18.2 Hz
        (0x3FB, 0x80), (0x3F8, 0x01), (0x3F9, 0x00),            // COM1: 115 200 baud,
        (0x3FB, 0x03), (0x3FA, 0x07), (0x3FC, 0x03),            // 8N1, FIFO
    ];

    // PIRQ routing registers A to D of the PIIX, one dword. Spec: Intel 82371SB data sheet, 2.2.12.
    private const uint PirqAddress = 0x8000_0860;
    private const uint PirqRoutes = 0x0B0B_0A0A;

    private readonly Assembler _c = new(16);
    private readonly List<(int Vector, Label Handler)> _handlers = [];
    private Label _powerOn;
    private Label _serve;
    private Label _ignored;

    /// <summary>Writes all code; it is assembled at <see cref="FirmwareLayout.Code"/>.</summary>
    public FirmwareCode()
    {
        _powerOn = _c.CreateLabel();
        _serve = _c.CreateLabel();
        _ignored = _c.CreateLabel();
        EmitPowerOn();
        EmitServe();
        EmitTimer();
        EmitRtc();
        EmitKeyboard();
        EmitOtherInterrupts();
        _c.Label(ref _ignored);
        _c.iret();
    }

    /// <summary>The code.</summary>
    public Assembler Assembler => _c;

    /// <summary>Where the reset vector jumps to.</summary>
    public Label PowerOn => _powerOn;

    /// <summary>The common path of all served interrupts.</summary>
    public Label Serve => _serve;

    /// <summary>An interrupt that nobody handles.</summary>
    public Label Ignored => _ignored;

    /// <summary>Vectors with code of their own.</summary>
    public IReadOnlyList<(int Vector, Label Handler)> Handlers => _handlers;

    private void EmitPowerOn()
    {
        const int PowerOnEntry = FirmwareLayout.Entries + (FirmwareLayout.VectorPowerOn * FirmwareLayout.EntryBytes);
        _c.Label(ref _powerOn);
        _c.cli();
        _c.cld();
        _c.xor(ax, ax);
        _c.mov(es, ax);
        _c.mov(ss, ax);
        _c.mov(esp, 0x7C00);
        _c.mov(ax, unchecked((short)FirmwareLayout.Segment));
        _c.mov(ds, ax);
        _c.mov(si, FirmwareLayout.VectorTemplate);
        _c.xor(di, di);
        _c.mov(cx, 0x500 / 4); // vectors and data area are neighbours in the image and in memory
        _c.rep.movsd();

        foreach ((ushort port, byte value) in s_setup)
        {
            _c.mov(dx, unchecked((short)port));
            _c.mov(al, unchecked((sbyte)value));
            _c.@out(dx, al);
        }

        _c.mov(dx, 0xCF8);
        _c.mov(eax, PirqAddress);
        _c.@out(dx, eax);
        _c.mov(dx, 0xCFC);
        _c.mov(eax, PirqRoutes);
        _c.@out(dx, eax);

        EmitVirtualWire();
        _c.xor(ax, ax);
        _c.mov(ds, ax);
        _c.pushf();
        _c.push(cs);
        _c.call(PowerOnEntry); // as an interrupt would
        _c.sti();
        _c.@int(0x19);
        Label halt = _c.CreateLabel();
        _c.Label(ref halt);
        _c.hlt();
        _c.jmp(halt);
    }

    // The PIC reaches the CPU through LINT0. Protected mode only for the time of three stores with a flat data segment;
    // the limit of DS stays, which a loader may not mind (unreal mode). Spec: SDM volume 3, 11.5.1 and 11.9.
    private void EmitVirtualWire()
    {
        const uint LocalApic = 0xFEE0_0000;
        const int FlatData = 8;
        (int Register, uint Value)[] registers = [(0xF0, 0x1FF), (0x350, 0x700), (0x360, 0x400)];
        Label protectedMode = _c.CreateLabel();
        Label realMode = _c.CreateLabel();
        _c.lgdt(__[FirmwareLayout.GdtPointer]);
        _c.mov(eax, cr0);
        _c.or(al, 1);
        _c.mov(cr0, eax);
        _c.jmp(protectedMode);
        _c.Label(ref protectedMode);
        _c.mov(bx, FlatData);
        _c.mov(ds, bx);
        foreach ((int register, uint value) in registers)
        {
            _c.mov(ebx, LocalApic + (uint)register);
            _c.mov(__dword_ptr[ebx], value);
        }

        _c.and(al, unchecked((sbyte)0xFE));
        _c.mov(cr0, eax);
        _c.jmp(realMode);
        _c.Label(ref realMode);
        _c.nop();
    }

    // On the stack: vector, IP, CS, FLAGS. FirmwareLayout draws the frame.
    private void EmitServe()
    {
        Label again = _c.CreateLabel();
        Label pause = _c.CreateLabel();
        Label halt = _c.CreateLabel();
        Label done = _c.CreateLabel();
        _c.Label(ref _serve);
        _c.pushad();
        _c.push(ds);
        _c.push(es);
        _c.Label(ref again);
        _c.cli();
        _c.mov(bp, sp);
        _c.xor(eax, eax);
        _c.mov(ax, ss);
        _c.shl(eax, 4);
        _c.movzx(ebx, sp);
        _c.add(eax, ebx);
        _c.mov(dx, FirmwareLayout.ServicePort);
        _c.@out(dx, eax);
        _c.mov(al, __byte_ptr[bp + StatusOffset]);
        _c.cmp(al, FirmwareLayout.StatusDone);
        _c.je(done);
        _c.sti();
        _c.cmp(al, FirmwareLayout.StatusHalt);
        _c.je(halt);
        _c.mov(cx, 100); // lets the host's event loop have the bus
        _c.Label(ref pause);
        _c.pause();
        _c.dec(cx);
        _c.jnz(pause);
        _c.jmp(again);
        _c.Label(ref halt);
        _c.hlt();
        _c.jmp(again);
        _c.Label(ref done);
        _c.pop(es);
        _c.pop(ds);
        _c.popad();
        _c.add(sp, 2); // the vector
        _c.iret();
    }

    // IRQ 0: counts ticks since midnight at 0040:006C, then the user's hook.
    private void EmitTimer()
    {
        Label handler = _c.CreateLabel();
        Label sameDay = _c.CreateLabel();
        _c.Label(ref handler);
        _handlers.Add((0x08, handler));
        _c.push(ds);
        _c.push(eax);
        _c.mov(ax, 0x40);
        _c.mov(ds, ax);
        _c.mov(eax, __dword_ptr[0x6C]);
        _c.inc(eax);
        _c.cmp(eax, TicksPerDay);
        _c.jb(sameDay);
        _c.xor(eax, eax);
        _c.inc(__byte_ptr[0x70]);
        _c.Label(ref sameDay);
        _c.mov(__dword_ptr[0x6C], eax);
        _c.@int(0x1C);
        _c.mov(al, EndOfInterrupt);
        _c.@out(MasterPic, al);
        _c.pop(eax);
        _c.pop(ds);
        _c.iret();
    }

    // IRQ 8: reading register C lets the RTC interrupt again.
    private void EmitRtc()
    {
        Label handler = _c.CreateLabel();
        _c.Label(ref handler);
        _handlers.Add((0x70, handler));
        _c.push(ax);
        _c.mov(al, 0x0C);
        _c.@out(0x70, al);
        _c.@in(al, 0x71);
        _c.mov(al, EndOfInterrupt);
        _c.@out(SlavePic, al);
        _c.@out(MasterPic, al);
        _c.pop(ax);
        _c.iret();
    }

    // IRQ 1: the console is the serial line; a scan code is taken and dropped.
    private void EmitKeyboard()
    {
        Label handler = _c.CreateLabel();
        _c.Label(ref handler);
        _handlers.Add((0x09, handler));
        _c.push(ax);
        _c.@in(al, 0x60);
        _c.mov(al, EndOfInterrupt);
        _c.@out(MasterPic, al);
        _c.pop(ax);
        _c.iret();
    }

    private void EmitOtherInterrupts()
    {
        Label master = _c.CreateLabel();
        Label slave = _c.CreateLabel();
        _c.Label(ref slave);
        _c.push(ax);
        _c.mov(al, EndOfInterrupt);
        _c.@out(SlavePic, al);
        _c.@out(MasterPic, al);
        _c.pop(ax);
        _c.iret();
        _c.Label(ref master);
        _c.push(ax);
        _c.mov(al, EndOfInterrupt);
        _c.@out(MasterPic, al);
        _c.pop(ax);
        _c.iret();
        for (int vector = 0x0A; vector <= 0x0F; vector++)
        {
            _handlers.Add((vector, master));
        }

        for (int vector = 0x71; vector <= 0x77; vector++)
        {
            _handlers.Add((vector, slave));
        }
    }
}
