using System;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Instructions;

/// <summary>
/// The state of AVX-512: what enables it, what CPUID says of it, and XSAVE. Spec: SDM volume 1, chapter 13.
/// </summary>
public sealed unsafe class Avx512StateTests
{
    private const ulong Area = 0x20000;
    private const ulong AllComponents = 0xE7;
    private const int HeaderAt = 512;
    private const int TaskSwitchedBit = 3;

    [Fact]
    public void The_default_model_has_none() => Assert.False(CpuModel.Default.Features.Has(CpuFeature.Avx512F));

    [Theory]
    [InlineData(0x07, true)]
    [InlineData(0xE7, true)]
    [InlineData(0x67, false)] // all of the three or none
    [InlineData(0xC7, false)]
    [InlineData(0xE3, false)] // not without YMM
    [InlineData(0xE5, false)]
    [InlineData(0xE1, false)]
    [InlineData(0xE6, false)] // nor x87
    [InlineData(0xEF, false)] // no such component
    public void Xcr0_takes_what_belongs_together(int value, bool isTaken)
    {
        using AsmProgram program = Wide(a =>
        {
            a.xor(ecx, ecx);
            a.xor(edx, edx);
            a.mov(eax, value);
            a.xsetbv();
            a.hlt();
        });
        program.Vcpu.State->Xcr0 = 1;

        program.Run();

        Assert.Equal(isTaken ? -1 : ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(isTaken ? (ulong)value : 1, program.Vcpu.State->Xcr0);
    }

    [Fact]
    public void A_model_without_avx512_refuses_its_components()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.xor(ecx, ecx);
            a.xor(edx, edx);
            a.mov(eax, (int)AllComponents);
            a.xsetbv();
        });
        program.Vcpu.State->Cr4 |= Cr4.XsaveEnable;

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
    }

    // leaf 0DH: subleaf, XCR0, EAX, EBX, ECX
    [Theory]
    [InlineData(0, 0x07, 0xE7, 832, 2688)]
    [InlineData(0, 0xE7, 0xE7, 2688, 2688)]
    [InlineData(1, 0x07, -1, 832, 0)]
    [InlineData(1, 0xE7, -1, 2432, 0)]
    [InlineData(2, 0xE7, 256, 576, 0)]
    [InlineData(3, 0xE7, 0, 0, 0)]
    [InlineData(5, 0xE7, 64, 1088, 0)]
    [InlineData(6, 0xE7, 512, 1152, 0)]
    [InlineData(7, 0xE7, 1024, 1664, 0)]
    [InlineData(8, 0xE7, 0, 0, 0)]
    public void Cpuid_gives_sizes_and_offsets(int subleaf, int xcr0, int eaxWanted, int ebxWanted, int ecxWanted)
    {
        using AsmProgram program = Wide(a =>
        {
            a.mov(eax, 0xD);
            a.mov(ecx, subleaf);
            a.cpuid();
            a.hlt();
        });
        program.Vcpu.State->Xcr0 = (ulong)xcr0;

        program.Run();

        CpuState* state = program.Vcpu.State;
        Assert.True(eaxWanted < 0 || state->Gpr[0] == (ulong)eaxWanted, $"EAX {state->Gpr[0]:X}");
        Assert.Equal((ulong)ebxWanted, state->Gpr[3]);
        Assert.Equal((ulong)ecxWanted, state->Gpr[1]);
    }

    [Fact]
    public void Xsave_puts_each_component_where_cpuid_says()
    {
        using AsmProgram program = Wide(a => SaveAll(a, compacted: false));
        Fill(program.Vcpu.State);

        program.Run();

        Assert.Equal(-1, program.LastVector);
        Assert.Equal(AllComponents & ~1ul, program.Read(Area + HeaderAt, 8) & ~1ul);
        CpuState* state = program.Vcpu.State;
        Assert.Equal(state->Masks[3], program.Read(Area + 1088 + (3 * 8), 8));
        Assert.Equal(Word(state, 5, 24), program.Read(Area + 576 + (5 * 16) + 8, 8));
        Assert.Equal(Word(state, 5, 32), program.Read(Area + 1152 + (5 * 32), 8));
        Assert.Equal(Word(state, 15, 56), program.Read(Area + 1152 + (15 * 32) + 24, 8));
        Assert.Equal(Word(state, 16, 0), program.Read(Area + 1664, 8));
        Assert.Equal(Word(state, 31, 56), program.Read(Area + 2688 - 8, 8));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_was_saved_is_restored(bool compacted)
    {
        using AsmProgram program = Wide(a =>
        {
            SaveAll(a, compacted);
            a.vzeroall();
            a.kxorq(k3, k3, k3);
            a.vpxorq(zmm31, zmm31, zmm31);
            a.mov(eax, (int)AllComponents);
            a.xrstor64(__[Area]);
            a.hlt();
        }, ends: false);
        Fill(program.Vcpu.State);
        byte[] vectors = Vectors(program.Vcpu.State);
        ulong mask = program.Vcpu.State->Masks[3];

        program.Run();

        Assert.Equal(-1, program.LastVector);
        Assert.Equal(vectors, Vectors(program.Vcpu.State));
        Assert.Equal(mask, program.Vcpu.State->Masks[3]);
    }

    [Fact]
    public void Components_that_are_not_in_the_area_are_initialised()
    {
        using AsmProgram program = Wide(a =>
        {
            a.mov(eax, 0xE0);
            a.xor(edx, edx);
            a.xrstor64(__[Area]);
        });
        Fill(program.Vcpu.State);
        ulong low = Word(program.Vcpu.State, 4, 24);

        program.Run();

        CpuState* state = program.Vcpu.State;
        Assert.Equal(low, Word(state, 4, 24));
        Assert.Equal(0ul, Word(state, 4, 32) | Word(state, 15, 56) | Word(state, 16, 0) | Word(state, 31, 56));
        Assert.Equal(0ul, state->Masks[0] | state->Masks[7]);
    }

    [Fact]
    public void Components_in_use_are_told_by_their_values()
    {
        using AsmProgram program = Wide(a => SaveAll(a, compacted: true));
        program.Vcpu.State->Masks[7] = 1;
        program.Vcpu.State->Vectors[(16 * 64) + 3] = 1;

        program.Run();

        Assert.Equal(0xA0ul, program.Read(Area + HeaderAt, 8) & 0xE4);
        Assert.Equal(AllComponents | (1ul << 63), program.Read(Area + HeaderAt + 8, 8));
    }

    [Fact]
    public void Zeroing_instructions_reach_the_upper_halves_and_spare_the_upper_registers()
    {
        using AsmProgram program = Wide(a =>
        {
            a.vaddps(ymm1, ymm1, ymm1);
            a.vmovd(xmm2, eax);
            a.vmovdqu(ymm3, __ymmword_ptr[Area]);
            a.addps(xmm4, xmm4);
            a.hlt();
        }, ends: false);
        Fill(program.Vcpu.State);
        ulong kept = Word(program.Vcpu.State, 4, 40);

        program.Run();

        CpuState* state = program.Vcpu.State;
        Assert.Equal(0ul, Word(state, 1, 40) | Word(state, 2, 16) | Word(state, 2, 40) | Word(state, 3, 40));
        Assert.Equal(kept, Word(state, 4, 40)); // legacy encodings leave them alone
    }

    [Fact]
    public void Vzeroall_spares_registers_from_16_up()
    {
        using AsmProgram program = Wide(a => a.vzeroall());
        Fill(program.Vcpu.State);
        ulong kept = Word(program.Vcpu.State, 16, 0);

        program.Run();

        CpuState* state = program.Vcpu.State;
        Assert.Equal(0ul, Word(state, 0, 0) | Word(state, 15, 56));
        Assert.Equal(kept, Word(state, 16, 0));
    }

    // EVEX, and VEX on mask registers: XCR0, CR0.TS, and what comes.
    [Theory]
    [InlineData("62F17C4858C1", 0xE7, false, -1)] // VADDPS zmm0, zmm0, zmm1
    [InlineData("62F17C4858C1", 0x07, false, ExceptionVector.InvalidOpcode)]
    [InlineData("62F17C4858C1", 0xE7, true, ExceptionVector.DeviceNotAvailable)]
    [InlineData("62F17C4858C1", 0x07, true, ExceptionVector.InvalidOpcode)]
    [InlineData("C5F898C1", 0xE7, false, -1)] // KORTESTW k0, k1
    [InlineData("C5F898C1", 0x07, false, ExceptionVector.InvalidOpcode)]
    [InlineData("C5F898C1", 0xE7, true, ExceptionVector.DeviceNotAvailable)]
    [InlineData("62F27D48900408", 0xE7, false, ExceptionVector.InvalidOpcode)] // VPGATHERDD without a mask
    [InlineData("62F27D49900400", 0xE7, false, ExceptionVector.InvalidOpcode)] // destination and index the same
    [InlineData("62F17CC858C1", 0xE7, false, ExceptionVector.InvalidOpcode)] // zeroing without a mask
    [InlineData("62F17C6858C1", 0xE7, false, ExceptionVector.InvalidOpcode)] // a length that does not exist
    public void Instructions_need_their_unit(string code, int xcr0, bool isSwitched, int vector)
    {
        using AsmProgram program = Wide(a => a.db(Convert.FromHexString(code)));
        program.Vcpu.State->Xcr0 = (ulong)xcr0;
        program.Vcpu.State->Cr0 |= isSwitched ? 1ul << TaskSwitchedBit : 0;

        program.Run();

        Assert.Equal(vector, program.LastVector);
    }

    [Fact]
    public void Outside_protected_mode_they_are_undefined()
    {
        SkipWithout();
        using var program = new AsmProgram(
            CpuMode.Real, a => a.db(Convert.FromHexString("62F17C4858C1")), CpuModel.Largest);
        program.Vcpu.State->Cr4 |= Cr4.XsaveEnable | Cr4.FxsaveEnable;
        program.Vcpu.State->Xcr0 = AllComponents;

        program.Run();

        Assert.Equal(ExceptionVector.InvalidOpcode, program.LastVector);
    }

    [Fact]
    public void A_segment_limit_counts_for_elements_that_the_mask_selects()
    {
        using AsmProgram program = Wide(a =>
        {
            a.mov(eax, 0xFF);
            a.kmovd(k1, eax);
            a.vmovdqu32(zmm1.k1, __zmmword_ptr[0x1000 - 32]);
            a.mov(eax, 0x1FF);
            a.kmovd(k1, eax);
            a.vmovdqu32(zmm1.k1, __zmmword_ptr[0x1000 - 32]);
        }, mode: CpuMode.Protected);
        program.Vcpu.State->Segments[SegmentRegister.Ds].Limit = 0xFFF;

        program.Run();

        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
        Assert.Equal(0x1FFul, program.Vcpu.State->Masks[1]);
    }

    private static void SkipWithout()
        => Assert.SkipUnless(CpuModel.Largest.Features.Has(CpuFeature.Avx512F), "the host has no AVX-512");

    private static AsmProgram Wide(Action<Assembler> write, bool ends = true, CpuMode mode = CpuMode.Long)
    {
        SkipWithout();
        var program = new AsmProgram(
            mode,
            a =>
            {
                write(a);
                if (ends)
                {
                    a.hlt();
                }
            },
            CpuModel.Largest);
        program.Vcpu.State->Cr4 |= Cr4.XsaveEnable | Cr4.FxsaveEnable | Cr4.SimdExceptions;
        program.Vcpu.State->Xcr0 = AllComponents;
        return program;
    }

    private static void SaveAll(Assembler a, bool compacted)
    {
        a.mov(eax, (int)AllComponents);
        a.xor(edx, edx);
        if (compacted)
        {
            a.xsavec64(__[Area]);
        }
        else
        {
            a.xsave64(__[Area]);
        }
    }

    private static void Fill(CpuState* state)
    {
        new Random(1).NextBytes(new Span<byte>(state->Vectors, 32 * 64));
        for (int i = 0; i < 8; i++)
        {
            state->Masks[i] = 0x1111_2222_3333_4444ul * (ulong)(i + 1);
        }
    }

    private static byte[] Vectors(CpuState* state) => new ReadOnlySpan<byte>(state->Vectors, 32 * 64).ToArray();

    private static ulong Word(CpuState* state, int register, int at)
        => *(ulong*)(state->Vectors + (64 * register) + at);
}
