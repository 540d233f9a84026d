using System;
using System.Collections.Generic;
using Hypervisor.Cpu;
using Hypervisor.TestKit;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Instructions;

public sealed unsafe class StringBlocksTests
{
    private const int Area = 0x20_0000, AreaBytes = 0x8000;

    public static IEnumerable<TheoryDataRow<int, int, int, int>> Moves()
    {
        foreach (int sizeBytes in (int[])[1, 2, 4, 8])
        {
            foreach (int distance in (int[])[-5001, -4096, -9, -8, -1, 1, 7, 8, 4096, 5003])
            {
                foreach (int start in (int[])[0x4000, 0x3FFF, 0x3FFD])
                {
                    yield return new(sizeBytes, distance, start, 9000 / sizeBytes);
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Moves))]
    public void Backward_move_equals_one_element_after_the_other(int sizeBytes, int distance, int start, int count)
    {
        using AsmProgram program = Program(sizeBytes, isMove: true, start, start + distance, count);
        byte[] expected = Fill(program);
        for (int i = 0, from = start; i < count; i++, from -= sizeBytes)
        {
            expected.AsSpan(from, sizeBytes).ToArray().CopyTo(expected, from + distance);
        }

        Assert.Equal(VcpuExit.Halted, program.Run());

        Check(program, expected);
        Assert.Equal((ulong)(Area + start - (count * sizeBytes)), program.Vcpu.State->Gpr[6]);
        Assert.Equal((ulong)(Area + start + distance - (count * sizeBytes)), program.Vcpu.State->Gpr[7]);
        Assert.Equal(0ul, program.Vcpu.State->Gpr[1]);
    }

    [Theory]
    [InlineData(1, 0x4000)]
    [InlineData(2, 0x3FFF)]
    [InlineData(4, 0x3FFE)]
    [InlineData(8, 0x4001)]
    public void Backward_store_fills_downwards(int sizeBytes, int start)
    {
        int count = 9000 / sizeBytes;
        using AsmProgram program = Program(sizeBytes, isMove: false, start, start, count);
        byte[] expected = Fill(program);
        for (int i = 0; i < count; i++)
        {
            expected.AsSpan(start - (i * sizeBytes), sizeBytes).Fill(0x11);
        }

        program.Run();

        Check(program, expected);
        Assert.Equal((ulong)(Area + start - (count * sizeBytes)), program.Vcpu.State->Gpr[7]);
    }

    [Fact]
    public void Backward_move_wraps_a_16_bit_index()
    {
        using var program = new AsmProgram(CpuMode.Real, a =>
        {
            a.mov(ax, 0x2000);
            a.mov(ds, ax);
            a.mov(ax, 0x3000);
            a.mov(es, ax);
            a.mov(si, 5);
            a.mov(di, 100);
            a.mov(cx, 10);
            a.std();
            a.rep.movsb();
            a.hlt();
        });
        program.Write64(0x2_0000, 0x0706_0504_0302_0100);
        program.Write64(0x2_FFF8, 0xFFFE_FDFC_FBFA_F9F8);

        program.Run();

        Assert.Equal(0x0100_FFFE_FDFCul, program.Read(0x3_0000 + 91, 6));
        Assert.Equal(0x0504_0302ul, program.Read(0x3_0000 + 97, 4));
        Assert.Equal(0xFFFBul, program.Vcpu.State->Gpr[6] & 0xFFFF);
    }

    private static AsmProgram Program(int sizeBytes, bool isMove, int source, int target, int count)
        => new(CpuMode.Long, a =>
        {
            a.mov(rsi, Area + source);
            a.mov(rdi, Area + target);
            a.mov(rcx, count);
            a.mov(rax, 0x1111_1111_1111_1111);
            a.std();
            switch (sizeBytes, isMove)
            {
                case (1, true): a.rep.movsb(); break;
                case (2, true): a.rep.movsw(); break;
                case (4, true): a.rep.movsd(); break;
                case (8, true): a.rep.movsq(); break;
                case (1, false): a.rep.stosb(); break;
                case (2, false): a.rep.stosw(); break;
                case (4, false): a.rep.stosd(); break;
                default: a.rep.stosq(); break;
            }

            a.hlt();
        });

    private static byte[] Fill(AsmProgram program)
    {
        byte[] bytes = new byte[AreaBytes];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)((i * 7) ^ (i >> 8));
        }

        Assert.True(program.Ram.TryWrite(Area, bytes));
        return bytes;
    }

    private static void Check(AsmProgram program, byte[] expected)
    {
        byte[] actual = new byte[AreaBytes];
        Assert.True(program.Ram.TryRead(Area, actual));
        Assert.Equal(expected, actual);
    }
}
