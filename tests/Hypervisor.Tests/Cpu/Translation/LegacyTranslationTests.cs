using System;
using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Hypervisor.TestKit.Oracle;
using Hypervisor.TestKit.Oracle.Programs;
using Iced.Intel;
using Xunit;
using static Hypervisor.Tests.Cpu.Translation.LegacyProgram;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>
/// Hot code of 16 and 32 bits at the edges of its data and its stack. Each program runs on both engines: on the
/// interpreter, too, it must end as the test says.
/// </summary>
public sealed unsafe class LegacyTranslationTests
{
    public static TheoryData<ExecutionEngine> Engines => LegacyProgram.Engines;

    [Theory]
    [MemberData(nameof(Engines))]
    public void Word_at_the_end_of_a_real_mode_segment_faults(ExecutionEngine engine)
    {
        using AsmProgram program = Run(engine, CpuMode.Real, a => Loop(a, 0x1000, 0xFFFF, () => a.mov(ax, __[bx])));

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0xFFFFul, program.Vcpu.State->Gpr[3] & 0xFFFF);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Byte_at_the_end_of_a_real_mode_segment_is_there(ExecutionEngine engine)
    {
        using AsmProgram program = Run(engine, CpuMode.Real, a => Loop(a, 0x1000, 0xFFFF, () => a.mov(al, __[bx])));

        Assert.Equal(-1, program.LastVector);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Address_of_16_bits_wraps_within_its_segment(ExecutionEngine engine)
    {
        using AsmProgram program = Run(engine, CpuMode.Real, a =>
        {
            a.mov(ax, FarSegment);
            a.mov(ds, ax);
            a.mov(si, 0x20);
            Loop(a, 0x1000, 0xFFF0, () => a.mov(__word_ptr[bx + si], 0x5A5A));
        });

        Assert.Equal(0x5A5Aul, program.Read(0x20010, 2));
        Assert.Equal(0ul, program.Read(0x30010, 2));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Address_of_32_bits_wraps_at_4_GiB(ExecutionEngine engine)
    {
        using AsmProgram program = PrepareCompatible(engine, a =>
        {
            a.mov(esi, 0x8000_0000);
            Loop(a, 0x8000_0100 + (uint)Marker, 0x8000_0000 + (uint)Marker, () => a.mov(__dword_ptr[ebx + esi], 77));
        });

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(77ul, program.Read(Marker, 4));
        Assert.Equal(-1, program.LastVector);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Stack_pointer_of_16_bits_wraps_and_leaves_the_rest_alone(ExecutionEngine engine)
    {
        using AsmProgram program = Run(engine, CpuMode.Real, a =>
        {
            a.mov(ax, FarSegment);
            a.mov(ss, ax);
            a.mov(esp, 0x1234_0000);
            a.mov(ax, 0x7777);
            Loop(a, 0, 0, () =>
            {
                a.push(ax);
                a.mov(edi, esp);
                a.push(ax);
                a.pop(dx);
                a.pop(dx);
            });
        });

        Assert.Equal(0x1234_FFFEul, program.Vcpu.State->Gpr[7]);
        Assert.Equal(0x1234_0000ul, program.Vcpu.State->Gpr[4]);
        Assert.Equal(0x7777ul, program.Read(0x2FFFE, 2));
        Assert.Equal(0x7777ul, program.Vcpu.State->Gpr[2] & 0xFFFF);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Access_behind_the_limit_of_a_data_segment_faults(ExecutionEngine engine)
    {
        using AsmProgram program = Prepare(engine, CpuMode.Protected, a =>
        {
            a.mov(eax, AsmProgram.FreeSelector);
            a.mov(fs, ax);
            Loop(a, 0xFC, 0xFD, () => a.mov(eax, __dword_ptr.fs[ebx]));
        });
        program.SetDescriptor(AsmProgram.FreeSelector, AsmProgram.Descriptor((uint)Marker, 0xFF, 0x93, 0x4));

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0xFDul, program.Vcpu.State->Gpr[3]);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Store_to_a_segment_that_is_read_only_faults(ExecutionEngine engine)
    {
        using AsmProgram program = Prepare(engine, CpuMode.Protected, a =>
        {
            a.mov(eax, AsmProgram.FreeSelector);
            a.mov(gs, ax);
            Loop(a, 0, 1, () =>
            {
                Label skip = a.CreateLabel();
                a.mov(eax, __dword_ptr.gs[ebx]);
                a.test(ebx, ebx);
                a.je(skip);
                a.mov(__dword_ptr.gs[ebx], eax);
                a.Label(ref skip);
                a.nop();
            });
        });
        program.SetDescriptor(AsmProgram.FreeSelector, AsmProgram.Descriptor((uint)Marker, 0xFF, 0x91, 0x4));

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
    }

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void Upper_halves_of_vectors_that_32_bit_code_cannot_see_are_never_cleared(string engine)
    {
        const int High = OracleLayout.Extended + 576; // 16 bytes each
        byte[] image = new byte[ProgramLayout.ImageBytes];
        HandWrittenProgram.Put(
            image,
            ProgramLayout.CodeAddress,
            a =>
            {
                Label again = a.CreateLabel();
                a.mov(ecx, Rounds);
                a.Label(ref again);
                a.vzeroupper();
                a.dec(ecx);
                a.jne(again);
                a.ud2();
            },
            bits: 32);
        byte[] before = new byte[OracleLayout.OutputAt];
        byte[] after = new byte[OracleLayout.OutputAt];
        before.AsSpan(High, 256).Fill(0x77);
        fixed (byte* part = before)
        {
            WideRegisters.Join(part);
        }

        HandWrittenProgram.Run(engine, ProgramKind.Flat32, image, before, after);

        Assert.Equal(0, after[High + (7 * 16)]);
        Assert.Equal(0x77, after[High + (8 * 16)]);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Store_through_flat_cs_faults(ExecutionEngine engine)
    {
        using AsmProgram program = Run(engine, CpuMode.Protected, a => Loop(a, (uint)Marker, (uint)Marker + 4, () =>
        {
            Label skip = a.CreateLabel();
            a.mov(eax, __dword_ptr.cs[ebx]);
            a.cmp(ebx, (uint)Marker);
            a.je(skip);
            a.mov(__dword_ptr.cs[ebx], eax);
            a.Label(ref skip);
            a.nop();
        }));

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Segment_that_is_loaded_anew_moves_the_data(ExecutionEngine engine)
    {
        using AsmProgram program = Run(engine, CpuMode.Real, a =>
        {
            a.mov(ax, FarSegment);
            Loop(a, 0, 0, () =>
            {
                a.mov(es, ax);
                a.mov(__word_ptr.es[0], cx);
                a.inc(ax);
            });
        });

        Assert.Equal((ulong)Rounds, program.Read(0x20000, 2));
        Assert.Equal(1ul, program.Read(0x20000 + ((Rounds - 1) * 16), 2));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void Hot_flat_code_sees_that_its_data_segment_is_flat_no_more(ExecutionEngine engine)
    {
        using AsmProgram program = Prepare(engine, CpuMode.Protected, a =>
        {
            Loop(a, AsmProgram.Data0, AsmProgram.FreeSelector, () =>
            {
                a.mov(ds, bx);
                a.lea(edx, __[ecx + 100]);
                a.mov(__dword_ptr[0x500], edx);
            });
        });
        program.SetDescriptor(AsmProgram.FreeSelector, AsmProgram.Descriptor((uint)Marker, 0xFFF, 0x93, 0x4));

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(101ul, program.Read(0x500, 4));
        Assert.Equal(100ul, program.Read(Marker + 0x500, 4));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public void What_64_bit_code_left_in_the_upper_halves_is_no_part_of_an_address(ExecutionEngine engine)
    {
        using AsmProgram program = PrepareCompatible(engine, a =>
        {
            Label again = a.CreateLabel();
            a.mov(ecx, Rounds);
            a.Label(ref again);
            a.mov(__dword_ptr[ebx], ecx);
            a.add(__dword_ptr[ebx + 4], 2);
            a.mov(eax, ecx);
            a.stosd();
            a.sub(edi, 4);
            a.dec(ecx);
            a.jne(again);
            a.hlt();
        });

        program.Run();

        AssertTranslated(program, engine);
        Assert.Equal(1ul, program.Read(Marker, 4));
        Assert.Equal(2ul * Rounds, program.Read(Marker + 4, 4));
        Assert.Equal(1ul, program.Read(Marker + 0x100, 4));
        Assert.Equal(0xFFFF_0000_0000_0000 | Marker, program.Vcpu.State->Gpr[3]);
    }
}
