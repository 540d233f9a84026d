using System;
using System.Buffers.Binary;
using System.IO;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.OracleLayout;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.TestKit.Oracle;

/// <summary>The program that runs cases on the bare host: a static ELF64 executable without any library.</summary>
/// <remarks>
/// It reads (first case, count) pairs from standard input, runs the cases, and answers each pair with one byte. For
/// each
/// case it loads the whole state, jumps to the instruction, and comes back through one of the exits or a signal.
/// Spec: System V ABI x86-64, 3.4.1 (start), A.2.1 (system calls); Linux sigcontext (registers in the signal frame).
/// </remarks>
internal static class NativeProgram
{
    internal const int HeaderBytes = 64 + 56;
    internal const int MapShared = 0x8001 | 0x10; // MAP_SHARED, MAP_POPULATE, MAP_FIXED
    private const int MapAnonymous = 0x32; // MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED
    internal const int ReadWrite = 3;
    internal const int ReadExecute = 5;
    internal const int ReadOnly = 1;
    private const int BatchSeconds = 5; // of processor time; a batch takes milliseconds

    // SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER
    private const int ActionFlags = 0x4 | 0x0800_0000 | 0x4000_0000 | 0x0400_0000;

    // ucontext: general registers in this order from offset 40, then RIP, flags; error, trap, CR2 and the FPU state.
    private static readonly int[] s_frameOrder = [8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 3, 2, 0, 1, 4];
    private static readonly int[] s_signals = [4, 5, 7, 8, 11];

    private static readonly AssemblerRegister64[] s_registers =
        [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];

    /// <summary>The file's bytes.</summary>
    internal static byte[] Build()
    {
        var assembler = new Assembler(64);
        Label wait = assembler.CreateLabel();
        Label next = assembler.CreateLabel();
        Label advance = assembler.CreateLabel();
        Label firstExit = assembler.CreateLabel();
        Label secondExit = assembler.CreateLabel();
        Label handler = assembler.CreateLabel();
        Start(assembler, firstExit, secondExit, handler);
        Serve(assembler, wait, next);
        Enter(assembler, next, wait);
        Exit(assembler, firstExit, secondExit, advance);
        Handle(assembler, handler, advance);
        assembler.Label(ref advance);
        assembler.add(Word(Current), CaseBytes);
        assembler.jmp(next);

        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), ProgramAddress + HeaderBytes);
        return Elf(code.ToArray());
    }

    private static void Start(Assembler a, Label firstExit, Label secondExit, Label handler)
    {
        a.mov(rdi, __[rsp + 16]); // argv[1]
        a.mov(esi, 2); // O_RDWR
        a.xor(edx, edx);
        SystemCall(a, 2);
        a.mov(r12, rax);
        Map(a, ControlAddress, FileBytes, ReadWrite, MapShared, 0);
        Map(a, CodeAddress, BatchCases * SlotBytes, ReadExecute, MapShared, CodeAt);
        for (int page = 0; page < SandboxPages; page++)
        {
            if (StoredPage(page) >= 0)
            {
                Map(
                    a,
                    SandboxAddress + (ulong)(page * PageBytes),
                    PageBytes,
                    IsWritable(page) ? ReadWrite : ReadOnly,
                    MapShared,
                    SandboxAt + (StoredPage(page) * PageBytes));
            }
        }

        a.mov(Word(MainStack), rsp);
        a.lea(rax, __[firstExit]);
        a.mov(Word(FirstExitPointer), rax);
        a.lea(rax, __[secondExit]);
        a.mov(Word(SecondExitPointer), rax);
        CatchSignals(a, handler, s_signals);
        Store(a, Timer + 16, BatchSeconds);
        SetBase(a, 0x1002, FsBase); // ARCH_SET_FS
        SetBase(a, 0x1001, GsBase); // ARCH_SET_GS
    }

    /// <summary>Emits: an alternate stack, and <paramref name="handler"/> for all of the signals.</summary>
    internal static void CatchSignals(Assembler a, Label handler, ReadOnlySpan<int> signals)
    {
        Map(a, AlternateStack, AlternateStackBytes, ReadWrite, MapAnonymous, 0);
        Store(a, SignalStack, AlternateStack);
        Store(a, SignalStack + 8, 0);
        Store(a, SignalStack + 16, AlternateStackBytes);
        a.mov(rdi, ControlAddress + SignalStack);
        a.xor(esi, esi);
        SystemCall(a, 131); // sigaltstack
        a.lea(rax, __[handler]);
        a.mov(Word(SignalAction), rax);
        a.mov(Word(SignalAction + 16), rax); // a restorer must be given; it is never returned to
        Store(a, SignalAction + 8, ActionFlags);
        Store(a, SignalAction + 24, 0);
        foreach (int signal in signals)
        {
            a.mov(edi, signal);
            a.mov(rsi, ControlAddress + SignalAction);
            a.xor(edx, edx);
            a.mov(r10d, 8);
            SystemCall(a, 13); // rt_sigaction
        }
    }

    private static void Serve(Assembler a, Label wait, Label next)
    {
        Label end = a.CreateLabel();
        a.jmp(wait);
        a.Label(ref end);
        a.xor(edi, edi);
        SystemCall(a, 231); // exit_group
        a.Label(ref wait);
        a.xor(edi, edi);
        a.mov(rsi, ControlAddress + First);
        a.mov(edx, 8);
        SystemCall(a, 0); // read
        a.cmp(rax, 8);
        a.jne(end);
        a.mov(edi, 1); // ITIMER_VIRTUAL: a case that never comes back ends the program
        a.mov(rsi, ControlAddress + Timer);
        a.xor(edx, edx);
        SystemCall(a, 38); // setitimer
        a.mov(eax, __dword_ptr[ControlAddress + First]);
        a.imul(rax, rax, CaseBytes);
        a.add(rax, (int)ControlAddress + CasesAt);
        a.mov(Word(Current), rax);
        a.mov(eax, __dword_ptr[ControlAddress + Count]);
        a.mov(Word(Remaining), rax);
        a.jmp(next);
    }

    private static void Enter(Assembler a, Label next, Label wait)
    {
        Label run = a.CreateLabel();
        a.Label(ref next);
        a.cmp(Word(Remaining), 0);
        a.jne(run);
        a.mov(edi, 1);
        a.mov(rsi, ControlAddress + First);
        a.mov(edx, 1);
        SystemCall(a, 1); // write
        a.jmp(wait);

        a.Label(ref run);
        a.dec(Word(Remaining));
        EnterRecord(a);
    }

    /// <summary>Emits: loads the state of the current record and jumps into it.</summary>
    internal static void EnterRecord(Assembler a)
    {
        a.mov(rbx, Word(Current));
        a.mov(eax, 7);
        a.xor(edx, edx);
        a.xrstor64(__[rbx + Extended]);
        WideRegisters.EmitLoad(a);
        a.mov(rax, __[rbx + Rip]);
        a.mov(Word(CodePointer), rax);
        a.push(__qword_ptr[rbx + Flags]);
        a.popfq();
        LoadRegisters(a);
        a.mov(rbx, __[rbx + 24]);
        a.jmp(Word(CodePointer));
    }

    /// <summary>Emits: all general registers of the record at RBX, but RBX.</summary>
    internal static void LoadRegisters(Assembler a)
    {
        for (int register = 0; register < 16; register++)
        {
            if (register != 3)
            {
                a.mov(s_registers[register], __[rbx + (8 * register)]);
            }
        }
    }

    // Only MOV before the flags are saved.
    private static void Exit(Assembler a, Label firstExit, Label secondExit, Label advance)
    {
        Label save = a.CreateLabel();
        a.Label(ref firstExit);
        Store(a, Marker, 0);
        a.jmp(save);
        a.Label(ref secondExit);
        Store(a, Marker, 1);
        a.Label(ref save);
        a.mov(Word(SavedRax), rax);
        a.mov(Word(SavedRbx), rbx);
        a.mov(rbx, Word(Current));
        for (int register = 1; register < 16; register++)
        {
            if (register != 3)
            {
                a.mov(__[rbx + OutputAt + (8 * register)], s_registers[register]);
            }
        }

        a.mov(rax, Word(SavedRax));
        a.mov(__[rbx + OutputAt], rax);
        a.mov(rax, Word(SavedRbx));
        a.mov(__[rbx + OutputAt + 24], rax);
        a.mov(rsp, Word(MainStack));
        a.pushfq();
        a.pop(rax);
        a.mov(__[rbx + OutputAt + Flags], rax);
        a.push(2);
        a.popfq();
        a.mov(__qword_ptr[rbx + OutputAt + Trap], -1);
        a.mov(rax, Word(Marker));
        a.mov(__[rbx + OutputAt + Rip], rax);
        for (int word = 0; word < 64; word += 8)
        {
            a.mov(__qword_ptr[rbx + OutputAt + Extended + 512 + word], 0);
        }

        a.mov(eax, 7);
        a.xor(edx, edx);
        a.xsave64(__[rbx + OutputAt + Extended]);
        WideRegisters.EmitSave(a);
        a.jmp(advance);
    }

    private static void Handle(Assembler a, Label handler, Label advance)
    {
        a.Label(ref handler);
        SaveFrame(a);
        a.jmp(advance);
    }

    /// <summary>Emits: what the signal's frame holds goes to the current record; back to the main stack.</summary>
    internal static void SaveFrame(Assembler a)
    {
        a.push(2);
        a.popfq();
        a.mov(rbx, Word(Current));
        for (int i = 0; i < s_frameOrder.Length; i++)
        {
            Copy(a, 40 + (8 * i), 8 * s_frameOrder[i]);
        }

        Copy(a, 168, Rip);
        Copy(a, 176, Flags);
        Copy(a, 192, Error);
        Copy(a, 200, Trap);
        Copy(a, 216, FaultAddress);
        a.mov(rsi, __[rdx + 224]);
        a.lea(rdi, __[rbx + OutputAt + Extended]);
        a.mov(ecx, ExtendedBytes / 8);
        a.rep.movsq();
        a.mov(rsi, __[rdx + 224]);
        WideRegisters.EmitRestore(a);
        WideRegisters.EmitSave(a);
        a.mov(rsp, Word(MainStack));
    }

    private static void Copy(Assembler a, int from, int to)
    {
        a.mov(rax, __[rdx + from]);
        a.mov(__[rbx + OutputAt + to], rax);
    }

    internal static void Map(Assembler a, ulong address, int length, int protection, int flags, int offset)
    {
        a.mov(rdi, address);
        a.mov(esi, length);
        a.mov(edx, protection);
        a.mov(r10d, flags);
        a.mov(r8, flags == MapAnonymous ? r13 : r12);
        a.mov(r9d, offset);
        SystemCall(a, 9);
    }

    internal static void SetBase(Assembler a, int function, ulong value)
    {
        a.mov(edi, function);
        a.mov(rsi, value);
        SystemCall(a, 158); // arch_prctl
    }

    internal static void SystemCall(Assembler a, int number)
    {
        a.mov(eax, number);
        a.syscall();
    }

    internal static void Store(Assembler a, int at, ulong value) => a.mov(Word(at), (int)value);

    internal static AssemblerMemoryOperand Word(int at) => __qword_ptr[ControlAddress + (ulong)at];

    internal static byte[] Elf(byte[] code)
    {
        byte[] file = new byte[HeaderBytes + code.Length];
        byte[] identification = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(file, 0);
        Put16(16, 2); // executable
        Put16(18, 62); // x86-64
        Put32(20, 1);
        Put64(24, ProgramAddress + HeaderBytes); // entry
        Put64(32, 64); // program headers
        Put16(52, 64);
        Put16(54, 56);
        Put16(56, 1);
        Put32(64, 1); // PT_LOAD
        Put32(68, 5); // read, execute
        Put64(80, ProgramAddress);
        Put64(88, ProgramAddress);
        Put64(96, (ulong)file.Length);
        Put64(104, (ulong)file.Length);
        Put64(112, 0x1000);
        code.CopyTo(file, HeaderBytes);
        return file;

        void Put16(int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(at), value);
        void Put32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at), value);
        void Put64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(at), value);
    }
}
