using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest.Code;

/// <summary>Dirties pages at a set rate, and checks that what was written is still there.</summary>
/// <remarks>
/// Page write number c (from 0) goes to page c mod area. It stores (c + 1) × Multiplier + n in word n × 64 of the page,
/// one word every 512 bytes. Each step checks the pages of the step before, and each page before it is written again.
/// </remarks>
internal sealed class MemoryPattern
{
    private const int WordStep = 512;
    private const int PageShift = 12;

    private readonly Assembler _c;
    private readonly GuestRoutines _routines;
    private Label _initialize;
    private Label _step;
    private Label _check;

    /// <summary>Creates the labels; <see cref="Emit"/> writes the code.</summary>
    public MemoryPattern(Assembler c, GuestRoutines routines)
    {
        _c = c;
        _routines = routines;
        _initialize = c.CreateLabel();
        _step = c.CreateLabel();
        _check = c.CreateLabel();
    }

    /// <summary>Bounds the area by the RAM that the memory map promises. Changes all registers but R15.</summary>
    public void Initialize() => _c.call(_initialize);

    /// <summary>Checks, and dirties one step's pages. Changes all registers but R15.</summary>
    public void Step() => _c.call(_step);

    /// <summary>Writes the subroutines.</summary>
    public void Emit()
    {
        EmitInitialize();
        EmitStep();
        EmitCheck();
    }

    // memmap of start_info: at 28h address, at 30h entries; entry: start u64, length u64, type u32, reserved u32.
    private void EmitInitialize()
    {
        Label next = _c.CreateLabel();
        Label skip = _c.CreateLabel();
        Label found = _c.CreateLabel();
        _c.Label(ref _initialize);
        _c.mov(rsi, __qword_ptr[GuestMemory.StartInfo]);
        _c.mov(ecx, __dword_ptr[rsi + 0x30]);
        _c.mov(rsi, __qword_ptr[rsi + 0x28]);
        _c.xor(edx, edx); // pages of RAM from the area on
        _c.Label(ref next);
        _c.test(ecx, ecx);
        _c.jz(found);
        _c.cmp(__dword_ptr[rsi + 16], 1);
        _c.jne(skip);
        _c.mov(rax, __qword_ptr[rsi]);
        _c.cmp(rax, (int)GuestMemory.Area);
        _c.ja(skip);
        _c.add(rax, __qword_ptr[rsi + 8]);
        _c.sub(rax, (int)GuestMemory.Area);
        _c.jbe(skip);
        _c.shr(rax, PageShift);
        _c.mov(rdx, rax);
        _c.Label(ref skip);
        _c.add(rsi, 24);
        _c.dec(ecx);
        _c.jmp(next);

        _c.Label(ref found);
        Bound(GuestMemory.AreaPages);
        _c.mov(rdx, __qword_ptr[GuestMemory.AreaPages]);
        Bound(GuestMemory.DirtyPages);
        _c.ret();
    }

    // The variable becomes at most RDX.
    private void Bound(uint variable)
    {
        _c.mov(rax, __qword_ptr[variable]);
        _c.cmp(rax, rdx);
        _c.cmova(rax, rdx);
        _c.mov(__qword_ptr[variable], rax);
    }

    // R8: number of the page write.
    private void EmitStep()
    {
        Label checkNext = _c.CreateLabel();
        Label write = _c.CreateLabel();
        Label writeNext = _c.CreateLabel();
        Label unwritten = _c.CreateLabel();
        Label words = _c.CreateLabel();
        Label done = _c.CreateLabel();
        _c.Label(ref _step);
        _c.mov(r9, __qword_ptr[GuestMemory.DirtyPages]);
        _c.test(r9, r9);
        _c.jz(done);
        _c.mov(r8, __qword_ptr[GuestMemory.PagesWritten]);
        _c.test(r8, r8);
        _c.jz(write); // the first step has nothing to check
        _c.sub(r8, r9);
        _c.Label(ref checkNext);
        _c.call(_check);
        _c.inc(r8);
        _c.dec(r9);
        _c.jnz(checkNext);

        _c.Label(ref write);
        _c.mov(r9, __qword_ptr[GuestMemory.DirtyPages]);
        _c.Label(ref writeNext);
        _c.mov(r8, __qword_ptr[GuestMemory.PagesWritten]);
        _c.sub(r8, __qword_ptr[GuestMemory.AreaPages]);
        _c.jb(unwritten);
        _c.call(_check);
        _c.Label(ref unwritten);
        _c.mov(r8, __qword_ptr[GuestMemory.PagesWritten]);
        PageOfWrite();
        _c.mov(ecx, 1 << PageShift);
        _c.Label(ref words);
        _c.mov(__qword_ptr[rdi], rax);
        _c.inc(rax);
        _c.add(rdi, WordStep);
        _c.sub(ecx, WordStep);
        _c.jnz(words);
        _c.inc(__qword_ptr[GuestMemory.PagesWritten]);
        _c.dec(r9);
        _c.jnz(writeNext);
        _c.Label(ref done);
        _c.ret();
    }

    // R8: page write whose words must be in memory. Changes RAX, RCX, RDX, RDI.
    private void EmitCheck()
    {
        Label words = _c.CreateLabel();
        Label bad = _c.CreateLabel();
        _c.Label(ref _check);
        PageOfWrite();
        _c.mov(ecx, 1 << PageShift);
        _c.Label(ref words);
        _c.cmp(__qword_ptr[rdi], rax);
        _c.jne(bad);
        _c.inc(rax);
        _c.add(rdi, WordStep);
        _c.sub(ecx, WordStep);
        _c.jnz(words);
        _c.ret();

        _c.Label(ref bad);
        _routines.Print("CORRUPT page write ");
        _c.mov(rax, r8);
        _routines.PrintNumber();
        _routines.Print(" at ");
        _c.mov(rax, rdi);
        _routines.PrintNumber();
        _routines.Print("\n");
        _routines.End(1);
    }

    // R8: page write. Out: RDI the page, RAX its first word. Changes RDX.
    private void PageOfWrite()
    {
        _c.mov(rax, r8);
        _c.xor(edx, edx);
        _c.div(__qword_ptr[GuestMemory.AreaPages]);
        _c.mov(rdi, rdx);
        _c.shl(rdi, PageShift);
        _c.add(rdi, (int)GuestMemory.Area);
        _c.lea(rdx, __[r8 + 1]);
        _c.mov(rax, StepRecord.Multiplier);
        _c.imul(rax, rdx);
    }
}
