using Hypervisor.Guest.Code;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest;

/// <summary>A loop of integer, branch and memory instructions whose number is known: the measure of an engine's speed.</summary>
/// <remarks>
/// Command line: steps=N million instructions (default 100), end= as for <see cref="CountingGuest"/>. Prints
/// "compute N million", and at the end "checksum X", which depends on every instruction.
/// </remarks>
public static class ComputeGuest
{
    /// <summary>Instructions per step.</summary>
    public const int InstructionsPerStep = LoopInstructions * LoopCount;

    private const int LoopInstructions = 16;
    private const int LoopCount = 62_500;
    private const int TableMask = 0xFFF8; // 64 KiB, by qwords
    private const uint StepsDefault = 100;

    /// <summary>The guest as a PVH ELF file.</summary>
    public static byte[] Build() => GuestProgram.Build(Emit);

    /// <summary>What the guest prints as its checksum, computed here.</summary>
    public static ulong Checksum(int steps)
    {
        ulong[] table = new ulong[(TableMask + 8) / 8];
        ulong hash = 1, signed = 0, sum = 0, total = 0;
        for (int step = 0; step < steps; step++)
        {
            for (ulong counter = LoopCount; counter != 0; counter--)
            {
                hash = unchecked((hash * StepRecord.Multiplier) + counter);
                int slot = (int)((hash >> 33) & TableMask) / 8;
                hash ^= table[slot];
                table[slot] = hash;
                signed = unchecked((hash & 1) == 0 ? signed - hash : signed + hash);
                signed = ulong.RotateLeft(signed, 1);
                sum = unchecked(sum + signed);
                total = unchecked(total + sum);
            }
        }

        return total;
    }

    private static void Emit(Assembler c)
    {
        var routines = new GuestRoutines(c);
        routines.InitializeSerial();
        routines.NumberOption("steps", StepsDefault, GuestMemory.Steps);
        routines.LetterOption("end=", 'e', GuestMemory.EndMode);
        routines.Print("compute ");
        c.mov(rax, __qword_ptr[GuestMemory.Steps]);
        routines.PrintNumber();
        routines.Print(" million\n");
        EmitLoop(c);
        routines.Print("checksum ");
        c.mov(rax, r9);
        routines.PrintNumber();
        routines.Print("\ndone\n");
        routines.End(0);
        routines.Emit();
    }

    // RAX hash, RSI signed, RDI sum, R9 total, R8 table, R10 steps left.
    private static void EmitLoop(Assembler c)
    {
        Label step = c.CreateLabel();
        Label loop = c.CreateLabel();
        Label even = c.CreateLabel();
        Label join = c.CreateLabel();
        Label done = c.CreateLabel();
        c.mov(eax, 1);
        c.mov(rbx, StepRecord.Multiplier);
        c.xor(esi, esi);
        c.xor(edi, edi);
        c.xor(r9d, r9d);
        c.mov(r8d, GuestMemory.Area);
        c.mov(r10, __qword_ptr[GuestMemory.Steps]);
        c.test(r10, r10);
        c.jz(done);
        c.Label(ref step);
        c.mov(ecx, LoopCount);

        c.Label(ref loop);
        c.imul(rax, rbx);
        c.add(rax, rcx);
        c.mov(rdx, rax);
        c.shr(rdx, 33);
        c.and(edx, TableMask);
        c.xor(rax, __qword_ptr[r8 + rdx]);
        c.mov(__qword_ptr[r8 + rdx], rax);
        c.test(al, 1);
        c.jz(even);
        c.add(rsi, rax);
        c.jmp(join);
        c.Label(ref even);
        c.sub(rsi, rax);
        c.nop(); // both sides have the same number of instructions
        c.Label(ref join);
        c.rol(rsi, 1);
        c.lea(rdi, __[rdi + rsi]);
        c.add(r9, rdi);
        c.dec(rcx);
        c.jnz(loop);

        c.dec(r10);
        c.jnz(step);
        c.Label(ref done);
        c.nop();
    }
}
