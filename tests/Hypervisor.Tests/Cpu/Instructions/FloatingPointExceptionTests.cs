using Hypervisor.Cpu;
using Hypervisor.Cpu.Identification;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Instructions;

public sealed unsafe class FloatingPointExceptionTests
{
    private const uint DivideUnmasked = 0x1D80;
    private const uint DivideFlag = 4;

    [Theory]
    [InlineData(0x600, ExceptionVector.SimdFloatingPoint)]
    [InlineData(0x200, ExceptionVector.InvalidOpcode)] // without OSXMMEXCPT
    public void Unmasked_sse_exception_faults_and_leaves_the_destination(int cr4, int vector)
    {
        using AsmProgram program = Divide(cr4, a => a.divss(xmm0, xmm1));

        program.Run();

        Assert.Equal(vector, program.LastVector);
        Assert.Equal(0x3F80_0000u, *(uint*)program.Vcpu.State->Vectors);
        Assert.Equal(DivideUnmasked | DivideFlag, program.Vcpu.State->Mxcsr);
        Assert.Equal(AsmProgram.UserCode, program.Read(program.Vcpu.State->Gpr[4], 8));
    }

    [Fact]
    public void Unmasked_avx_exception_faults_and_leaves_the_destination()
    {
        Assert.SkipUnless(CpuModel.Default.Features.Has(CpuFeature.Avx), "the host has no AVX");
        using AsmProgram program = Divide(0x4_0600, a => a.vdivps(ymm2, ymm0, ymm1));
        program.Vcpu.State->Xcr0 = 7;

        program.Run();

        Assert.Equal(ExceptionVector.SimdFloatingPoint, program.LastVector);
        Assert.Equal(0ul, *(ulong*)(program.Vcpu.State->Vectors + 128));
    }

    [Fact]
    public void Masked_sse_exception_only_sets_its_flag()
    {
        using AsmProgram program = Divide(0x600, a => a.divss(xmm0, xmm1));
        program.Write32(AsmProgram.Data, 0x1F80);

        program.Run();

        Assert.Equal(-1, program.LastVector);
        Assert.Equal(0x1F80 | DivideFlag, program.Vcpu.State->Mxcsr);
        Assert.Equal(0x7F80_0000u, *(uint*)program.Vcpu.State->Vectors); // infinity
    }

    [Fact]
    public void Unmasked_x87_exception_waits_for_the_next_waiting_instruction()
    {
        using var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(rax, cr0);
            a.or(eax, 0x20); // NE
            a.mov(cr0, rax);
            a.fninit(); // after reset no register is empty
            a.fldcw(__word_ptr[(int)AsmProgram.Data]);
            a.fld1();
            a.fldz();
            a.fdivp(st1, st0);
            a.inc(ebx);
            a.fnstsw(ax);
            a.inc(ebx);
            a.fld1();
            a.inc(ebx);
            a.hlt();
        });
        program.Write32(AsmProgram.Data, 0x37B);

        program.Run();

        Assert.Equal(ExceptionVector.FloatingPoint, program.LastVector);
        Assert.Equal(2ul, program.Vcpu.State->Gpr[3]);
        Assert.Equal(0x80ul | DivideFlag, program.Vcpu.State->Gpr[0] & 0x84); // ES, ZE
    }

    // 1 / 0 with MXCSR from Data.
    private static AsmProgram Divide(int cr4, System.Action<Assembler> write)
    {
        var program = new AsmProgram(CpuMode.Long, a =>
        {
            a.mov(eax, cr4 | 0x20);
            a.mov(AssemblerRegisters.cr4, rax);
            a.mov(eax, 0x3F80_0000);
            a.movd(xmm0, eax);
            a.pxor(xmm1, xmm1);
            a.ldmxcsr(__dword_ptr[(int)AsmProgram.Data]);
            a.jmp(AsmProgram.UserCode);
        });
        program.Assemble(AsmProgram.UserCode, a =>
        {
            write(a);
            a.hlt();
        });
        program.Write32(AsmProgram.Data, DivideUnmasked);
        return program;
    }
}
