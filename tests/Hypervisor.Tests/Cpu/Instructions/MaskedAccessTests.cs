using System;
using System.Buffers.Binary;
using Hypervisor.Cpu.Identification;
using Hypervisor.TestKit.Oracle;
using Hypervisor.TestKit.Oracle.Programs;
using Hypervisor.Tests.Cpu.Translation;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Instructions;

/// <summary>Memory operands under a mask at the edge of a page, in code that runs often enough to be translated.
/// </summary>
public sealed class MaskedAccessTests
{
    private const ulong Edge = ProgramLayout.AbsentData; // what is before can be written
    private const int Rounds = 100;
    private const int PageFault = 14;
    private const int Undefined = 6; // how programs end
    private const int ZmmBytes = 64;

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void What_is_masked_off_does_not_fault(string engine)
    {
        (EmulatedResult end, byte[] after, byte[] image) = Run(engine, c =>
        {
            c.kmovd(k1, __dword_ptr[ProgramLayout.FirstData]);
            c.vmovdqu32(zmm1.k1, __zmmword_ptr[Edge - 32]);
            c.vmovdqu32(zmm2.k1.z, __zmmword_ptr[Edge - 32]);
            c.vmovdqu32(__zmmword_ptr[Edge - 32].k1, zmm3);
            c.vpaddd(zmm4.k1, zmm4, __zmmword_ptr[Edge - 32]);
            c.vpcompressd(__zmmword_ptr[Edge - 32].k1, zmm3);
            c.vpexpandd(zmm5.k1.z, __zmmword_ptr[Edge - 32]);
        }, mask: 0xFF);

        Assert.Equal(Undefined, end.Vector);
        Assert.Equal(0x33333333u, Stored(image, Edge - 4));
        Assert.Equal(0x33333333u, Element(after, 1, 7));
        Assert.Equal(0x11111111u, Element(after, 1, 8)); // merged
        Assert.Equal(0u, Element(after, 2, 8)); // zeroed
        Assert.Equal(0x33333333u, Element(after, 5, 7));
    }

    [Theory]
    [InlineData("interpreter", false)]
    [InlineData("interpreter", true)]
    [InlineData("translator", false)]
    [InlineData("translator", true)]
    public void What_is_selected_faults_and_changes_nothing(string engine, bool isStore)
    {
        (EmulatedResult end, byte[] after, byte[] image) = Run(engine, c =>
        {
            c.kmovd(k1, __dword_ptr[ProgramLayout.FirstData]);
            if (isStore)
            {
                c.vmovdqu32(__zmmword_ptr[Edge - 32].k1, zmm3);
            }
            else
            {
                c.vmovdqu32(zmm1.k1, __zmmword_ptr[Edge - 32]);
            }
        }, mask: 0x1FF);

        Assert.Equal(PageFault, end.Vector);
        Assert.Equal(Edge, end.Address);
        Assert.Equal(0u, Stored(image, Edge - 4));
        Assert.Equal(0x11111111u, Element(after, 1, 0));
    }

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void A_broadcast_without_any_bit_accesses_nothing(string engine)
    {
        (EmulatedResult end, byte[] after, _) = Run(engine, c =>
        {
            c.kmovd(k1, __dword_ptr[ProgramLayout.FirstData]);
            c.vpaddd(zmm1.k1, zmm2, __dword_bcst[Edge]);
        }, mask: 0xFFFF_0000);

        Assert.Equal(Undefined, end.Vector);
        Assert.Equal(0x11111111u, Element(after, 1, 0));
    }

    // What elements that depend on each other are made from is read whole.
    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void A_permutation_reads_all_of_its_operand(string engine)
    {
        (EmulatedResult end, _, _) = Run(engine, c =>
        {
            c.kmovd(k1, __dword_ptr[ProgramLayout.FirstData]);
            c.vpermd(zmm1.k1, zmm2, __zmmword_ptr[Edge - 32]);
        }, mask: 1);

        Assert.Equal(PageFault, end.Vector);
    }

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void A_gather_that_faults_keeps_what_it_has(string engine)
    {
        (EmulatedResult end, byte[] after, _) = Run(engine, c =>
        {
            c.kmovd(k1, __dword_ptr[ProgramLayout.FirstData]);
            c.mov(eax, (uint)(Edge - 8));
            c.vpgatherdd(zmm1.k1, __zmmword_ptr[rax + (zmm6 * 4)]);
        }, mask: 0xF, isRepeated: false);

        Assert.Equal(PageFault, end.Vector);
        Assert.Equal(Edge, end.Address);
        Assert.Equal(0xCul, Mask(after, 1)); // two elements are done
        Assert.Equal(0u, Element(after, 1, 1));
        Assert.Equal(0x11111111u, Element(after, 1, 2));
        Assert.Equal(0x1_0000u, RflagsOf(after) & 0x1_0000u); // RF
    }

    [Theory]
    [InlineData("interpreter")]
    [InlineData("translator")]
    public void A_scatter_that_faults_keeps_what_it_has(string engine)
    {
        (EmulatedResult end, byte[] after, byte[] image) = Run(engine, c =>
        {
            c.kmovd(k1, __dword_ptr[ProgramLayout.FirstData]);
            c.mov(eax, (uint)(Edge - 8));
            c.vpscatterdd(__zmmword_ptr[rax + (zmm6 * 4)].k1, zmm3);
        }, mask: 0xFFFF, isRepeated: false);

        Assert.Equal(PageFault, end.Vector);
        Assert.Equal(0xFFFCul, Mask(after, 1));
        Assert.Equal(0x33333333u, Stored(image, Edge - 4));
    }

    private static (EmulatedResult End, byte[] After, byte[] Image) Run(
        string engine, Action<Assembler> body, uint mask, bool isRepeated = true)
    {
        Assert.SkipUnless(CpuModel.Largest.Features.Has(CpuFeature.Avx512F), "the host has no AVX-512");
        byte[] image = new byte[ProgramLayout.ImageBytes];
        HandWrittenProgram.Put(image, ProgramLayout.CodeAddress, c =>
        {
            Label again = c.CreateLabel();
            c.mov(ebx, isRepeated ? Rounds : 1);
            Set(c, zmm1, 0x11111111);
            Set(c, zmm2, 0);
            Set(c, zmm3, 0x33333333);
            c.vpxord(zmm4, zmm4, zmm4);
            c.vmovdqu32(zmm6, __zmmword_ptr[ProgramLayout.FirstData + 0x40]); // 0, 1, 2 …
            c.Label(ref again);
            body(c);
            c.dec(ebx);
            c.jne(again);
            c.ud2();
        });
        int data = ProgramLayout.ImageOffset(ProgramLayout.FirstData);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(data), mask);
        for (int i = 0; i < ZmmBytes / sizeof(int); i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(data + 0x40 + (i * sizeof(int))), i);
        }

        byte[] after = new byte[OracleLayout.OutputAt];
        EmulatedResult end = HandWrittenProgram.Run(engine, image, after);
        return (end, after, image);
    }

    private static void Set(Assembler c, AssemblerRegisterZMM register, int value)
    {
        c.mov(eax, value);
        c.vpbroadcastd(register, eax);
    }

    private static uint Stored(byte[] image, ulong address)
        => BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(ProgramLayout.ImageOffset(address)));

    private static uint Element(byte[] after, int register, int element) => BinaryPrimitives.ReadUInt32LittleEndian(
        after.AsSpan(OracleLayout.Vectors + (ZmmBytes * register) + (element * sizeof(uint))));

    private static ulong Mask(byte[] after, int register)
        => BinaryPrimitives.ReadUInt64LittleEndian(after.AsSpan(OracleLayout.Masks + (register * sizeof(ulong))));

    private static ulong RflagsOf(byte[] after)
        => BinaryPrimitives.ReadUInt64LittleEndian(after.AsSpan(OracleLayout.Flags));
}
