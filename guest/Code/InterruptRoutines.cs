using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest.Code;

/// <summary>
/// IDT, local APIC and the resting between steps. R15 holds the local APIC's address throughout a guest.
/// </summary>
internal sealed class InterruptRoutines
{
    /// <summary>First vector of the disks, one each.</summary>
    public const int DiskVector = 0x40;

    private const int TimerVector = 0x30;
    private const int SpuriousVector = 0xFF;
    private const int ExceptionCount = 32;
    private const uint LocalApic = 0xFEE0_0000;
    private const int SpuriousRegister = 0xF0;
    private const int EndOfInterrupt = 0xB0;
    private const int TimerEntry = 0x320;
    private const int TimerInitial = 0x380;
    private const int TimerCurrent = 0x390;
    private const int TimerDivide = 0x3E0;
    private const int Masked = 1 << 16;
    private const int PitCountFor10Millis = 11_932; // 1 193 182 Hz / 100
    private const int CalibrationMicros = 10_000;

    private readonly Assembler _c;
    private readonly GuestRoutines _routines;
    private readonly Label[] _exceptions = new Label[ExceptionCount];
    private Label _setGate;
    private Label _exception;
    private Label _timer;
    private Label _disk;
    private Label _spurious;
    private Label _rest;

    /// <summary>Creates the labels; <see cref="Emit"/> writes the code.</summary>
    public InterruptRoutines(Assembler c, GuestRoutines routines)
    {
        _c = c;
        _routines = routines;
        _setGate = c.CreateLabel();
        _exception = c.CreateLabel();
        _timer = c.CreateLabel();
        _disk = c.CreateLabel();
        _spurious = c.CreateLabel();
        _rest = c.CreateLabel();
        for (int i = 0; i < ExceptionCount; i++)
        {
            _exceptions[i] = c.CreateLabel();
        }
    }

    /// <summary>Fills the IDT, masks the PICs, turns the local APIC on, and lets interrupts in.</summary>
    public void Initialize()
    {
        for (int i = 0; i < ExceptionCount; i++)
        {
            SetGate(i, _exceptions[i]);
        }

        SetGate(TimerVector, _timer);
        SetGate(SpuriousVector, _spurious);
        for (int i = 0; i < GuestMemory.DisksMax; i++)
        {
            SetGate(DiskVector + i, _disk);
        }

        // The operand of LIDT is built on the stack: limit u16, base u64.
        _c.sub(rsp, 16);
        _c.mov(__word_ptr[rsp], 0xFFF);
        _c.mov(__qword_ptr[rsp + 2], (int)GuestMemory.Idt);
        _c.lidt(__[rsp]);
        _c.add(rsp, 16);

        _c.mov(al, 0xFF);
        _c.@out(0x21, al);
        _c.@out(0xA1, al);
        _c.mov(r15d, LocalApic);
        _c.mov(__dword_ptr[r15 + SpuriousRegister], 0x100 | SpuriousVector);
        _c.mov(__dword_ptr[r15 + TimerEntry], Masked | TimerVector);
        _c.mov(__dword_ptr[r15 + TimerDivide], 0xB); // by 1
        _c.sti();
    }

    /// <summary>Sends a vector to a handler. Changes RAX and RDI.</summary>
    public void SetGate(int vector, Label handler)
    {
        _c.lea(rax, __[handler]);
        _c.mov(edi, GuestMemory.Idt + ((uint)vector * 16));
        _c.call(_setGate);
    }

    /// <summary>Measures the APIC timer against PIT channel 2.</summary>
    public void CalibrateTimer()
    {
        Label wait = _c.CreateLabel();
        _c.@in(al, 0x61);
        _c.and(al, unchecked((sbyte)0xFC)); // gate and speaker off
        _c.@out(0x61, al);
        _c.mov(al, 0xB0); // channel 2, both bytes, mode 0
        _c.@out(0x43, al);
        _c.mov(al, PitCountFor10Millis & 0xFF);
        _c.@out(0x42, al);
        _c.mov(al, PitCountFor10Millis >> 8);
        _c.@out(0x42, al);
        _c.@in(al, 0x61);
        _c.or(al, 1);
        _c.@out(0x61, al);
        _c.mov(__dword_ptr[r15 + TimerInitial], -1);
        _c.Label(ref wait);
        _c.@in(al, 0x61);
        _c.test(al, 0x20); // output of channel 2
        _c.jz(wait);
        _c.mov(eax, -1);
        _c.sub(eax, __dword_ptr[r15 + TimerCurrent]);
        _c.mov(__qword_ptr[GuestMemory.TimerTicks], rax);
        _c.mov(__dword_ptr[r15 + TimerInitial], 0);
    }

    /// <summary>Halts for the pace of the command line. Changes RAX, RCX, RDX.</summary>
    public void Rest() => _c.call(_rest);

    /// <summary>Writes handlers and subroutines.</summary>
    public void Emit()
    {
        EmitSetGate();
        EmitHandlers();
        EmitExceptions();
        EmitRest();
    }

    // RAX: handler, RDI: gate. Spec: SDM volume 3, figure 6-8 (64-bit IDT gate).
    private void EmitSetGate()
    {
        const int PresentInterruptGate = 0x8E00;
        _c.Label(ref _setGate);
        _c.mov(__word_ptr[rdi], ax);
        _c.mov(__word_ptr[rdi + 2], 8); // code selector
        _c.mov(__word_ptr[rdi + 4], PresentInterruptGate);
        _c.shr(rax, 16);
        _c.mov(__word_ptr[rdi + 6], ax);
        _c.shr(rax, 16);
        _c.mov(__dword_ptr[rdi + 8], eax);
        _c.mov(__dword_ptr[rdi + 12], 0);
        _c.ret();
    }

    private void EmitHandlers()
    {
        _c.Label(ref _timer);
        _c.mov(__qword_ptr[GuestMemory.TimerFired], 1);
        _c.Label(ref _disk); // its wait loop looks at the used ring: waking up is all
        _c.mov(__dword_ptr[r15 + EndOfInterrupt], 0);
        _c.Label(ref _spurious);
        _c.iretq();
    }

    private void EmitExceptions()
    {
        for (int i = 0; i < ExceptionCount; i++)
        {
            _c.Label(ref _exceptions[i]);
            _c.push(i);
            _c.jmp(_exception);
        }

        _c.Label(ref _exception);
        _routines.Print("\nEXCEPTION ");
        _c.mov(rax, __qword_ptr[rsp]);
        _routines.PrintNumber();
        _routines.Print(" stack ");
        _c.mov(rax, __qword_ptr[rsp + 8]);
        _routines.PrintNumber();
        _routines.Print(" ");
        _c.mov(rax, __qword_ptr[rsp + 16]);
        _routines.PrintNumber();
        _routines.Print("\n");
        _routines.End(2);
    }

    private void EmitRest()
    {
        Label wait = _c.CreateLabel();
        Label done = _c.CreateLabel();
        Label inRange = _c.CreateLabel();
        Label fired = _c.CreateLabel();
        _c.Label(ref _rest);
        _c.mov(rax, __qword_ptr[GuestMemory.PaceMicros]);
        _c.test(rax, rax);
        _c.jz(done);
        _c.mul(__qword_ptr[GuestMemory.TimerTicks]);
        _c.mov(ecx, CalibrationMicros);
        _c.div(rcx);
        _c.mov(ecx, -1);
        _c.cmp(rax, rcx);
        _c.cmova(rax, rcx);
        _c.test(eax, eax);
        _c.jnz(inRange);
        _c.inc(eax);
        _c.Label(ref inRange);
        _c.mov(__qword_ptr[GuestMemory.TimerFired], 0);
        _c.mov(__dword_ptr[r15 + TimerEntry], TimerVector);
        _c.mov(__dword_ptr[r15 + TimerInitial], eax);
        _c.Label(ref wait);
        _c.cli();
        _c.cmp(__qword_ptr[GuestMemory.TimerFired], 0);
        _c.jne(fired);
        _c.sti(); // takes effect after HLT: no interrupt is lost between the two
        _c.hlt();
        _c.jmp(wait);
        _c.Label(ref fired);
        _c.sti();
        _c.Label(ref done);
        _c.ret();
    }
}
