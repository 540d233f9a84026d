using System;
using System.Buffers.Binary;
using Hypervisor.TestKit.Oracle.Programs;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>
/// Translated code takes for granted that floating-point exceptions are masked. Hot code on another page, reached
/// through the jump cache, must not be run any more once one is not: the host would take the exception.
/// </summary>
public sealed unsafe class VariantChangeTests
{
    private const ulong Function = ProgramLayout.CodeAddress + ProgramLayout.PageBytes;
    private const ulong Harmless = Function + 0x800;
    private const ulong ControlWord = ProgramLayout.FirstData;
    private const int Rounds = 200;

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void Sse_exception_that_was_unmasked_comes_in_hot_code_too(string engine)
    {
        int vector = Run(engine, unmasked: 0x1D80, c => c.ldmxcsr(__dword_ptr[ControlWord]), c =>
        {
            c.cvtsi2ss(xmm0, ebp);
            c.xorps(xmm1, xmm1);
            c.divss(xmm0, xmm1);
            c.ret();
        });

        Assert.Equal(19, vector);
    }

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void X87_exception_that_was_unmasked_comes_in_hot_code_too(string engine)
    {
        int vector = Run(engine, unmasked: 0x37B, c => c.fldcw(__word_ptr[ControlWord]), c =>
        {
            c.fld1();
            c.fldz();
            c.fdivp(st1, st0);
            c.fstp(st0);
            c.ret();
        });

        Assert.Equal(16, vector);
    }

    // Calls something harmless until the calling code is hot, then the function; unmasks, and does so again. In the
    // second pass the first call of the function comes from translated code.
    private static int Run(string engine, uint unmasked, Action<Assembler> unmask, Action<Assembler> function)
    {
        byte[] image = new byte[ProgramLayout.ImageBytes];
        HandWrittenProgram.Put(image, ProgramLayout.CodeAddress, c =>
        {
            for (int pass = 0; pass < 2; pass++)
            {
                Label again = c.CreateLabel();
                c.mov(ebx, Rounds);
                c.mov(esi, (uint)Function);
                c.Label(ref again);
                c.mov(edx, (uint)Harmless);
                c.cmp(ebx, Rounds / 2);
                c.cmovb(edx, esi);
                c.call(rdx);
                c.dec(ebx);
                c.jne(again);
                unmask(c);
            }

            c.ud2();
        });
        HandWrittenProgram.Put(image, Function, function);
        HandWrittenProgram.Put(image, Harmless, c => c.ret());
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(ProgramLayout.ImageOffset(ControlWord)), unmasked);

        return HandWrittenProgram.Run(engine, image);
    }
}
