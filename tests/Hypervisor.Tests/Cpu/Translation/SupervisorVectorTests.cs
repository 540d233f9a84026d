using System;
using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>In supervisor mode the host's MXCSR is not the guest's.</summary>
public sealed unsafe class SupervisorVectorTests
{
    private const int Rounds = 100;
    private const int RoundUp = 0x5F80;
    private const int FxsaveEnable = 1 << 9;

    [Theory]
    [InlineData(ExecutionEngine.Interpreter)]
    [InlineData(ExecutionEngine.Translator)]
    public void Conversion_that_names_no_vector_register_rounds_as_the_guest_says(ExecutionEngine engine)
    {
        using var program = new AsmProgram(
            CpuMode.Long,
            a =>
            {
                Label again = a.CreateLabel();
                a.mov(rax, cr4);
                a.or(eax, FxsaveEnable);
                a.mov(cr4, rax);
                a.mov(rdx, AsmProgram.Data);
                a.mov(__dword_ptr[rdx], RoundUp);
                a.ldmxcsr(__dword_ptr[rdx]);
                a.mov(ecx, Rounds);
                a.Label(ref again);
                a.cvtsd2si(eax, __qword_ptr[rdx + 8]);
                a.dec(ecx);
                a.jne(again);
                a.hlt();
            },
            engine: engine);
        program.Write64(AsmProgram.Data + 8, (ulong)BitConverter.DoubleToInt64Bits(1.25));

        program.Run();

        Assert.Equal(2ul, program.Vcpu.State->Gpr[0]);
    }
}
