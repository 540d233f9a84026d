using Hypervisor.TestKit.Oracle.Programs;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>Returns that no call belongs to, to where the guest likes.</summary>
public sealed class HostileReturnTests
{
    private const int Rounds = 40; // enough to be translated
    private const int PageFault = 14;
    private const int GeneralProtection = 13;

    [Theory]
    [InlineData("interpreter", -1L, PageFault)]
    [InlineData("translator", -1L, PageFault)]
    [InlineData("interpreter", unchecked((long)0x9000_0000_0000_1000), GeneralProtection)]
    [InlineData("translator", unchecked((long)0x9000_0000_0000_1000), GeneralProtection)]
    public void Return_to_where_no_code_can_be_faults(string engine, long target, int vector)
    {
        byte[] image = new byte[ProgramLayout.ImageBytes];
        HandWrittenProgram.Put(image, ProgramLayout.CodeAddress, c =>
        {
            Label again = c.CreateLabel();
            Label back = c.CreateLabel();
            c.mov(ebx, Rounds);
            c.mov(rsi, target);
            c.Label(ref again);
            c.lea(rdx, __[back]);
            c.dec(ebx);
            c.cmove(rdx, rsi);
            c.push(rdx);
            c.ret();
            c.Label(ref back);
            c.jmp(again);
        });

        Assert.Equal(vector, HandWrittenProgram.Run(engine, image));
    }
}
