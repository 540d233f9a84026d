using System;
using Hypervisor.Cpu;
using Hypervisor.TestKit.Oracle;
using Xunit;

namespace Hypervisor.Tests.Cpu.Host;

/// <summary>What the differential test cannot see: states that user mode on the host cannot be in.</summary>
public sealed unsafe class HostStubTests : IDisposable
{
    private const ulong Emulation = 1 << 2;
    private const ulong TaskSwitched = 1 << 3;
    private const ulong FxsaveEnable = 1 << 9;
    private const ulong XsaveEnable = 1 << 18;

    private static readonly byte[] s_addps = [0x0F, 0x58, 0xC1];
    private static readonly byte[] s_paddbMmx = [0x0F, 0xFC, 0xC1];
    private static readonly byte[] s_vaddps = [0xC5, 0xF4, 0x58, 0xC1];
    private static readonly byte[] s_fld1 = [0xD9, 0xE8];
    private static readonly byte[] s_wait = [0x9B];
    private static readonly byte[] s_xsave = [0x0F, 0xAE, 0x20];

    private readonly EmulatedCpu _cpu = new();

    [Fact]
    public void Task_switched_makes_every_vector_and_x87_instruction_raise_device_not_available()
    {
        _cpu.Vcpu.State->Cr0 |= TaskSwitched;

        foreach (byte[] code in (byte[][])[s_addps, s_paddbMmx, s_vaddps, s_fld1, s_wait, s_xsave])
        {
            Assert.Equal(ExceptionVector.DeviceNotAvailable, Run(code));
        }
    }

    [Fact]
    public void Emulation_makes_sse_and_mmx_undefined_and_x87_not_available()
    {
        _cpu.Vcpu.State->Cr0 |= Emulation;

        Assert.Equal(ExceptionVector.InvalidOpcode, Run(s_addps));
        Assert.Equal(ExceptionVector.InvalidOpcode, Run(s_paddbMmx));
        Assert.Equal(ExceptionVector.DeviceNotAvailable, Run(s_fld1));
    }

    [Fact]
    public void Sse_needs_osfxsr_and_avx_needs_osxsave_and_xcr0()
    {
        _cpu.Vcpu.State->Cr4 &= ~FxsaveEnable;
        Assert.Equal(ExceptionVector.InvalidOpcode, Run(s_addps));
        Assert.Equal(-1, Run(s_vaddps));

        _cpu.Vcpu.State->Xcr0 = 3;
        Assert.Equal(ExceptionVector.InvalidOpcode, Run(s_vaddps));

        _cpu.Vcpu.State->Xcr0 = 7;
        _cpu.Vcpu.State->Cr4 &= ~XsaveEnable;
        Assert.Equal(ExceptionVector.InvalidOpcode, Run(s_vaddps));
        Assert.Equal(ExceptionVector.InvalidOpcode, Run(s_xsave));
    }

    [Fact]
    public void Stubs_are_shared_between_equal_encodings_and_kept_apart_when_the_stack_pointer_is_renamed()
    {
        byte[] popcntRspRax = [0xF3, 0x48, 0x0F, 0xB8, 0xE0];
        byte[] popcntR10Rax = [0xF3, 0x4C, 0x0F, 0xB8, 0xD0];
        _cpu.Vcpu.State->Gpr[0] = 7;

        Run(popcntRspRax, rax: 0xFF);
        Assert.Equal(8ul, _cpu.Vcpu.State->Gpr[4]);
        int count = _cpu.Vcpu.Stubs.Count;
        Run(popcntRspRax, rax: 0xF);
        Assert.Equal(count, _cpu.Vcpu.Stubs.Count);
        Run(popcntR10Rax, rax: 3);

        Assert.Equal(2ul, _cpu.Vcpu.State->Gpr[10]);
        Assert.Equal(0ul, _cpu.Vcpu.State->Gpr[4]);
    }

    [Fact]
    public void Sse_keeps_the_upper_register_and_vex_clears_all_of_it()
    {
        byte* xmm0 = _cpu.Vcpu.State->Vectors;
        byte* record = stackalloc byte[OracleLayout.CaseBytes];
        Prepare(record, s_addps);
        record[OracleLayout.Extended + 576] = 0x55; // YMM0, upper half
        WideRegisters.Join(record);

        _cpu.Run(record, 0, Slot(s_addps));
        Assert.Equal(0x55, xmm0[16]);

        _cpu.Vcpu.State->Vectors[63] = 1;
        _cpu.Run(record, 0, Slot([0xC5, 0xF0, 0x58, 0xC1])); // VADDPS xmm0, xmm1, xmm1
        Assert.Equal(0, xmm0[16]);
        Assert.Equal(0, xmm0[63]);
    }

    public void Dispose() => _cpu.Dispose();

    private int Run(byte[] code, ulong rax = OracleLayout.SandboxAddress + OracleLayout.PageBytes)
    {
        byte* record = stackalloc byte[OracleLayout.CaseBytes];
        Prepare(record, code);
        ((ulong*)record)[0] = rax;
        return _cpu.Run(record, 0, Slot(code)).Vector;
    }

    private static void Prepare(byte* record, byte[] code)
    {
        new Span<byte>(record, OracleLayout.CaseBytes).Clear();
        *(ushort*)(record + OracleLayout.Extended) = 0x37F;
        *(uint*)(record + OracleLayout.Extended + 24) = 0x1F80;
        Assert.True(code.Length < OracleLayout.SlotBytes);
    }

    private static byte[] Slot(byte[] code)
    {
        byte[] slot = new byte[OracleLayout.SlotBytes];
        code.CopyTo(slot, 0);
        return slot;
    }
}
