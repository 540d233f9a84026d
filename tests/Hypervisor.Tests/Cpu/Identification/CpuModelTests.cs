using System;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Identification;

public sealed unsafe class CpuModelTests
{
    private const int ArchCapabilities = 0x10A, SpeculationControl = 0x48, PredictionCommand = 0x49;

    [Theory]
    [InlineData("x86-64-v1", "F30FB8C0", CpuFeature.Popcnt)]
    [InlineData("x86-64-v1", "660F3800C0", CpuFeature.Ssse3)]
    [InlineData("x86-64-v1", "F20FF0062500000000", CpuFeature.Sse3)]
    [InlineData("x86-64-v1", "F20F38F0C0", CpuFeature.Sse42)]
    [InlineData("x86-64-v1", "660F38DCC0", CpuFeature.Aes)]
    [InlineData("x86-64-v1", "660F3A44C000", CpuFeature.Pclmulqdq)]
    [InlineData("x86-64-v2", "0F38F000", CpuFeature.Movbe)]
    [InlineData("x86-64-v2", "0FAE20", CpuFeature.Xsave)]
    [InlineData("x86-64-v2", "C5F058C1", CpuFeature.Avx)]
    [InlineData("x86-64-v2", "C4E2F8F2C0", CpuFeature.Bmi1)]
    [InlineData("x86-64-v2", "C4E2F9F7C0", CpuFeature.Bmi2)]
    [InlineData("x86-64-v2", "C4E27913C0", CpuFeature.F16c)]
    [InlineData("x86-64-v2", "C4E27998C0", CpuFeature.Fma)]
    [InlineData("x86-64-v2", "660F38F6C0", CpuFeature.Adx)]
    [InlineData("x86-64-v2", "0F38C8C0", CpuFeature.Sha)]
    [InlineData("x86-64-v3", "62F17C4858C1", CpuFeature.Avx512F)]
    [InlineData("x86-64-v3", "62F17F086FC1", CpuFeature.Avx512Bw)]
    [InlineData("x86-64-v3", "C5F892C8", CpuFeature.Avx512F)] // KMOVW
    public void What_a_model_does_not_offer_is_undefined(string model, string code, CpuFeature feature)
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.db(Convert.FromHexString(code)), CpuModel.Named(model));
        program.Vcpu.State->Cr4 |= 0x4_0600;
        program.Vcpu.State->Xcr0 = 7;

        program.Run();

        Assert.False(program.Vcpu.Features.Has(feature));
        Assert.Equal(ExceptionVector.InvalidOpcode, program.LastVector);
        Assert.Equal(AsmProgram.Code, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Fact]
    public void Kernels_are_told_that_nothing_speculates()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(eax, 7);
            a.xor(ecx, ecx);
            a.cpuid();
            a.mov(esi, edx);
            a.mov(edi, eax);
            a.mov(eax, 7);
            a.mov(ecx, 2);
            a.cpuid();
            a.mov(ebx, edx);
            a.mov(ecx, ArchCapabilities);
            a.rdmsr();
            a.hlt();
        });

        program.Run();

        CpuState* state = program.Vcpu.State;
        Assert.Equal((1u << 26) | (1u << 29), (uint)state->Gpr[6] & ((1u << 26) | (1u << 29) | (1u << 27)));
        Assert.Equal(2ul, state->Gpr[7]);
        Assert.Equal(1ul << 4, state->Gpr[3]);
        Assert.Equal(3ul, state->Gpr[0] & 3);       // RDCL_NO, IBRS_ALL
        Assert.Equal(1ul << 30, state->Gpr[2]);     // ITS_NO
    }

    [Theory]
    [InlineData(SpeculationControl, 0x403, true)]
    [InlineData(SpeculationControl, 0x4, false)] // SSBD is not enumerated
    [InlineData(PredictionCommand, 1, true)]
    [InlineData(PredictionCommand, 2, false)]
    public void Speculation_control_takes_what_cpuid_lists(int number, int value, bool isTaken)
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(ecx, number);
            a.xor(edx, edx);
            a.mov(eax, value);
            a.wrmsr();
            a.hlt();
        });

        program.Run();

        Assert.Equal(isTaken ? -1 : ExceptionVector.GeneralProtection, program.LastVector);
    }

    [Fact]
    public void Speculation_control_is_read_back_and_the_command_is_write_only()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(ecx, SpeculationControl);
            a.mov(eax, 0x401);
            a.wrmsr();
            a.xor(eax, eax);
            a.rdmsr();
            a.mov(ebx, eax);
            a.mov(ecx, PredictionCommand);
            a.rdmsr();
        });

        program.Run();

        Assert.Equal(0x401ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector);
    }

    [Fact]
    public void Segment_bases_move_by_instruction_once_cr4_allows_it()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rax, cr4);
            a.bts(rax, 16);
            a.mov(cr4, rax);
            a.mov(rbx, 0x1234_5678_9ABC);
            a.wrfsbase(rbx);
            a.rdfsbase(rdi);
            a.wrgsbase(ebx);
            a.rdgsbase(rsi);
            a.mov(rbx, 1ul << 63);
            a.wrfsbase(rbx);
        });

        program.Run();

        Assert.Equal(0x1234_5678_9ABCul, program.Vcpu.State->Gpr[7]);
        Assert.Equal(0x5678_9ABCul, program.Vcpu.State->Gpr[6]);
        Assert.Equal(ExceptionVector.GeneralProtection, program.LastVector); // not canonical
    }

    [Fact]
    public void Segment_base_instructions_are_undefined_without_cr4()
    {
        using var program = new AsmProgram(CpuMode.Long, a => a.rdfsbase(rax));

        program.Run();

        Assert.Equal(ExceptionVector.InvalidOpcode, program.LastVector);
    }

    [Fact]
    public void Processor_id_comes_with_rdtscp_and_rdpid()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(ecx, unchecked((int)0xC000_0103));
            a.mov(eax, 0x55);
            a.xor(edx, edx);
            a.wrmsr();
            a.rdtscp();
            a.mov(ebx, ecx);
            a.rdpid(rdi);
            a.hlt();
        });

        program.Run();

        Assert.Equal(0x55ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(0x55ul, program.Vcpu.State->Gpr[7]);
    }

    [Fact]
    public void Random_numbers_come_with_carry_and_in_their_width()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.xor(ebx, ebx);
            a.rdrand(rax);
            a.adc(ebx, 0);
            a.rdseed(cx);
            a.adc(ebx, 0);
            a.hlt();
        });

        program.Run();

        Assert.Equal(0x5A5A_5A5A_5A5A_5A5Aul, program.Vcpu.State->Gpr[0]);
        Assert.Equal(0x5A5Aul, program.Vcpu.State->Gpr[1]);
        Assert.Equal(2ul, program.Vcpu.State->Gpr[3]);
    }
}
