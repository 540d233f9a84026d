using System;
using System.Collections.Generic;
using Hypervisor.Cpu.Translation;
using Iced.Intel;
using Xunit;

namespace Hypervisor.Tests.Cpu.Translation;

public sealed class EmitterTests
{
    [Fact]
    public void Emitted_code_means_what_the_method_says_for_low_and_high_registers()
    {
        Means("push r12", e => e.Push(HostRegister.R12));
        Means("pop rbx", e => e.Pop(HostRegister.Rbx));
        Means("mov r11,rdi", e => e.Move(HostRegister.R11, HostRegister.Rdi));
        Means("mov rax,[r12+100h]", e => e.Load(HostRegister.Rax, HostRegister.R12, 0x100));
        Means("mov [rsp+100h],r9", e => e.Store(HostRegister.Rsp, 0x100, HostRegister.R9));
        Means("mov qword ptr [rdi+8],0", e => e.StoreImmediate64(HostRegister.Rdi, 8, 0));
        Means("mov dword ptr [r8+8],1F80h", e => e.StoreImmediate32(HostRegister.R8, 8, 0x1F80));
        Means("and r10d,8D5h", e => e.And32(HostRegister.R10, 0x8D5));
        Means("and qword ptr [rdi+90h],0FFFFFFFFFFFFF72Ah", e => e.AndMemory64(HostRegister.Rdi, 0x90, ~0x8D5));
        Means("or [r11+90h],rcx", e => e.OrMemory64(HostRegister.R11, 0x90, HostRegister.Rcx));
        Means("movups xmm9,[r11+500h]", e => e.LoadXmm(9, HostRegister.R11, 0x500));
        Means("movups [rdi+500h],xmm0", e => e.StoreXmm(HostRegister.Rdi, 0x500, 0));
        Means("vmovups ymm15,[r12+500h]", e => e.LoadYmm(15, HostRegister.R12, 0x500));
        Means("vmovups [rdi+500h],ymm1", e => e.StoreYmm(HostRegister.Rdi, 0x500, 1));
        Means("ldmxcsr [r8+10h]", e => e.LoadMxcsr(HostRegister.R8, 0x10), "dword ptr ");
        Means("fxsave64 [r8+300h]", e => e.Fxsave64(HostRegister.R8, 0x300));
        Means("fxrstor64 [rdi+300h]", e => e.Fxrstor64(HostRegister.Rdi, 0x300));
        Means("fninit", e => e.InitializeFpu());
        Means("vzeroupper", e => e.ZeroUpper());
        Means("lea r9,[r8-8]", e => e.Lea(HostRegister.R9, HostRegister.R8, -8));
        Means("lea r9d,[r12+rcx*4+7Fh]", e => e.LeaIndexed(false, HostRegister.R9, HostRegister.R12, 1, 2, 0x7F));
        Means("lea r10,[r9*8+100h]", e => e.LeaIndexed(true, HostRegister.R10, -1, HostRegister.R9, 3, 0x100));
        Means("mov rcx,[rbp+r10*8+1F40h]", e => e.LoadIndexed(1, HostRegister.Rbp, HostRegister.R10, 3, 0x1F40));
        Means("mov [r9+r10],r11", e => e.StoreIndexed(HostRegister.R9, HostRegister.R10, 0, HostRegister.R11));
        Means("mov r10,[r13]", e => e.Load(HostRegister.R10, 13, 0));
        Means("pext r10,r9,[rbp-40h]", e => e.Pext(HostRegister.R10, HostRegister.R9, HostRegister.Rbp, -0x40));
        Means("rorx r10,r9,11h", e => e.RotateRight(HostRegister.R10, HostRegister.R9, 17));
        Means("cmp edx,r9d", e => e.Compare(false, HostRegister.Rdx, HostRegister.R9));
        Means("cmp r10,1", e => e.CompareWithOne(true, HostRegister.R10));
        Means("div r9", e => e.Divide(true, HostRegister.R9));
        Means("idiv r9d", e => e.DivideSigned(false, HostRegister.R9));
        Means("sub r10,r9", e => e.Subtract(HostRegister.R10, HostRegister.R9));
        Means("test r10,r10", e => e.Test(HostRegister.R10));
        Means("not r10", e => e.Not(HostRegister.R10));
        Means("or eax,ecx", e => e.Or32(HostRegister.Rax, HostRegister.Rcx));
        Means("shl ecx,0Bh", e => e.ShiftLeft32(HostRegister.Rcx, 11));
        Means("shr eax,8", e => e.ShiftRight32(HostRegister.Rax, 8));
        Means("jmp r11", e => e.JumpRegister(HostRegister.R11));
        Means("jmp qword ptr [rbp+r10*8+100h]", e => e.JumpIndexed(HostRegister.Rbp, HostRegister.R10, 0x100));
        Means("jmp qword ptr [rbp-80h]", e => e.JumpMemory(HostRegister.Rbp, -0x80));
        Means("call qword ptr [rbp-0A0h]", e => e.CallMemory(HostRegister.Rbp, -0xA0));
        Means("mov r11d,5", e => e.MoveImmediate32(HostRegister.R11, 5));
        Means("mov r10,123456789ABCDEF0h", e => e.MoveImmediate64(HostRegister.R10, 0x1234_5678_9ABC_DEF0));
    }

    [Fact]
    public void Shifts_of_signs_are_a_move_and_a_shift()
    {
        Assert.Equal("mov r10,rax|sar r10,3Fh", Disassemble(e => e.MoveSigns(true, HostRegister.R10, 0)));
        Assert.Equal("mov r10d,eax|sar r10d,1Fh", Disassemble(e => e.MoveSigns(false, HostRegister.R10, 0)));
        Assert.Equal("lahf|seto al", Disassemble(e => e.PackFlags()));
        Assert.Equal("add al,7Fh|sahf", Disassemble(e => e.UnpackFlags()));
    }

    private static void Means(string expected, Action<Emitter> emit, string ignored = "none")
        => Assert.Equal(expected, Disassemble(emit).Replace(ignored, "", StringComparison.Ordinal));

    private static unsafe string Disassemble(Action<Emitter> emit)
    {
        byte[] buffer = new byte[64];
        fixed (byte* start = buffer)
        {
            var emitter = new Emitter();
            emitter.Begin(start, start, buffer.Length);
            emit(emitter);
            var decoder = Decoder.Create(64, emitter.Code.ToArray());
            var text = new List<string>();
            while ((int)decoder.IP < emitter.Length)
            {
                text.Add(decoder.Decode().ToString());
            }

            return string.Join('|', text);
        }
    }
}
