using System;
using System.IO;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.NativeProgram;
using static Hypervisor.TestKit.Oracle.OracleLayout;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>The executable that runs random programs on the bare host; each ends by a signal.</summary>
/// <remarks>
/// As <see cref="NativeProgram"/>, but for one record and without exits: the signal frame is the result. The code pages
/// are writable and shared, so a program may change its own code.
/// </remarks>
internal static class ProgramHost
{
    /// <summary>The signal after <see cref="ProgramSeconds"/>.</summary>
    internal const int TimerSignal = 26;

    private const int SignalAt = ProgramLayout.RecordAt + OutputAt + ProgramLayout.Signal;
    private const int ReadWriteExecute = 7;
    private const int ProgramSeconds = 1; // of processor time; a program takes microseconds

    private static readonly int[] s_signals = [4, 5, 7, 8, 11, TimerSignal];

    /// <summary>The file's bytes.</summary>
    internal static byte[] Build()
    {
        var assembler = new Assembler(64);
        Label wait = assembler.CreateLabel();
        Label end = assembler.CreateLabel();
        Label handler = assembler.CreateLabel();
        Start(assembler, handler);
        Label enterLegacy = assembler.CreateLabel();
        Serve(assembler, wait, end);
        assembler.cmp(Word(ProgramLayout.IsLegacy), 0);
        assembler.jne(enterLegacy);
        EnterRecord(assembler);

        assembler.Label(ref enterLegacy);
        EnterLegacyRecord(assembler);

        assembler.Label(ref handler);
        assembler.mov(__qword_ptr[ControlAddress + SignalAt], rdi);
        SaveFrame(assembler);
        assembler.mov(edi, 1);
        assembler.mov(rsi, ControlAddress + First);
        assembler.mov(edx, 1);
        SystemCall(assembler, 1); // write
        assembler.jmp(wait);

        assembler.Label(ref end);
        assembler.xor(edi, edi);
        SystemCall(assembler, 231); // exit_group
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), OracleLayout.ProgramAddress + HeaderBytes);
        return Elf(code.ToArray());
    }

    private static void Start(Assembler a, Label handler)
    {
        a.mov(rdi, __[rsp + 16]); // argv[1]
        a.mov(esi, 2); // O_RDWR
        a.xor(edx, edx);
        SystemCall(a, 2);
        a.mov(r12, rax);
        Map(a, ControlAddress, ProgramLayout.FileBytes, ReadWrite, MapShared, 0);
        foreach (ProgramPage page in ProgramLayout.Pages)
        {
            int protection = page switch
            {
                { IsWritable: true, IsExecutable: true } => ReadWriteExecute,
                { IsExecutable: true } => ReadExecute,
                { IsWritable: true } => ReadWrite,
                _ => ReadOnly,
            };
            int at = ProgramLayout.ImageAt + (page.Stored * PageBytes);
            Map(a, page.Linear, PageBytes, protection, MapShared, at);
        }

        a.mov(Word(MainStack), rsp);
        CatchSignals(a, handler, s_signals);
        Store(a, Timer, 0);
        Store(a, Timer + 8, 0);
        Store(a, Timer + 16, ProgramSeconds);
        Store(a, Timer + 24, 0);
        SetBase(a, 0x1002, FsBase); // ARCH_SET_FS
        SetBase(a, 0x1001, GsBase); // ARCH_SET_GS
        a.mov(rax, ControlAddress + ProgramLayout.RecordAt);
        a.mov(Word(Current), rax);
    }

    // Compatibility mode, with six descriptors of the LDT.
    private static void EnterLegacyRecord(Assembler a)
    {
        for (int i = 0; i < ProgramLayout.SegmentCount; i++)
        {
            a.mov(edi, 1); // write
            a.mov(rsi, ControlAddress + (ulong)(ProgramLayout.Segments + (i * ProgramLayout.SegmentBytes)));
            a.mov(edx, ProgramLayout.SegmentBytes);
            SystemCall(a, 154); // modify_ldt
        }

        a.mov(rbx, Word(Current));
        a.mov(eax, 7);
        a.xor(edx, edx);
        a.xrstor64(__[rbx + Extended]);
        WideRegisters.EmitLoad(a);
        CopyToFrame(a, 0, Rip);
        Store(a, ProgramLayout.Frame + 8, ProgramMode.LocalSelector(SegmentRegister.Cs));
        CopyToFrame(a, 16, OracleLayout.Flags);
        CopyToFrame(a, 24, 4 * 8);
        Store(a, ProgramLayout.Frame + 32, ProgramMode.LocalSelector(SegmentRegister.Ss));
        foreach ((int number, AssemblerRegisterSegment register) in (ReadOnlySpan<(int, AssemblerRegisterSegment)>)
            [(SegmentRegister.Es, es), (SegmentRegister.Ds, ds), (SegmentRegister.Fs, fs), (SegmentRegister.Gs, gs)])
        {
            a.mov(eax, ProgramMode.LocalSelector(number));
            a.mov(register, ax);
        }

        LoadRegisters(a);
        a.mov(rsp, ControlAddress + ProgramLayout.Frame);
        a.mov(rbx, __[rbx + 24]);
        a.iretq();
    }

    private static void CopyToFrame(Assembler a, int at, int from)
    {
        a.mov(rax, __[rbx + from]);
        a.mov(Word(ProgramLayout.Frame + at), rax);
    }

    private static void Serve(Assembler a, Label wait, Label end)
    {
        a.Label(ref wait);
        a.xor(edi, edi);
        a.mov(rsi, ControlAddress + First);
        a.mov(edx, 8);
        SystemCall(a, 0); // read
        a.cmp(rax, 8);
        a.jne(end);
        a.mov(edi, 1); // ITIMER_VIRTUAL
        a.mov(rsi, ControlAddress + Timer);
        a.xor(edx, edx);
        SystemCall(a, 38); // setitimer
    }
}
