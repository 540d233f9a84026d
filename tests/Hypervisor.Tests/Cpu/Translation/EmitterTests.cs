using System;
using Hypervisor.Cpu.Translation;
using Iced.Intel;
using Xunit;

namespace Hypervisor.Tests.Cpu.Translation;

public sealed class EmitterTests
{
    private delegate void Emit(ref Emitter emitter);

    [Fact]
    public void Emitted_code_means_what_the_method_says_for_low_and_high_registers()
    {
        Means("push r12", (ref e) => e.Push(HostRegister.R12));
        Means("pop rbx", (ref e) => e.Pop(HostRegister.Rbx));
        Means("mov r11,rdi", (ref e) => e.Move(HostRegister.R11, HostRegister.Rdi));
        Means("mov rax,[r12+100h]", (ref e) => e.Load(HostRegister.Rax, HostRegister.R12, 0x100));
        Means("mov [rsp+100h],r9", (ref e) => e.Store(HostRegister.Rsp, 0x100, HostRegister.R9));
        Means("mov qword ptr [rdi+8],0", (ref e) => e.StoreImmediate64(HostRegister.Rdi, 8, 0));
        Means("mov dword ptr [r8+8],1F80h", (ref e) => e.StoreImmediate32(HostRegister.R8, 8, 0x1F80));
        Means("and r10d,8D5h", (ref e) => e.And32(HostRegister.R10, 0x8D5));
        Means("and qword ptr [rdi+90h],0FFFFFFFFFFFFF72Ah", (ref e) => e.AndMemory64(HostRegister.Rdi, 0x90, ~0x8D5));
        Means("or [r11+90h],rcx", (ref e) => e.OrMemory64(HostRegister.R11, 0x90, HostRegister.Rcx));
        Means("movups xmm9,[r11+500h]", (ref e) => e.LoadXmm(9, HostRegister.R11, 0x500));
        Means("movups [rdi+500h],xmm0", (ref e) => e.StoreXmm(HostRegister.Rdi, 0x500, 0));
        Means("vmovups ymm15,[r12+500h]", (ref e) => e.LoadYmm(15, HostRegister.R12, 0x500));
        Means("vmovups [rdi+500h],ymm1", (ref e) => e.StoreYmm(HostRegister.Rdi, 0x500, 1));
        Means("ldmxcsr [r8+10h]", (ref e) => e.LoadMxcsr(HostRegister.R8, 0x10), "dword ptr ");
        Means("fxsave64 [r8+300h]", (ref e) => e.Fxsave64(HostRegister.R8, 0x300));
        Means("fxrstor64 [rdi+300h]", (ref e) => e.Fxrstor64(HostRegister.Rdi, 0x300));
        Means("fninit", (ref e) => e.InitializeFpu());
        Means("vzeroupper", (ref e) => e.ZeroUpper());
    }

    private static void Means(string expected, Emit emit, string ignored = "none")
    {
        byte[] buffer = new byte[32];
        var emitter = new Emitter(buffer);
        emit(ref emitter);
        var decoder = Decoder.Create(64, emitter.Code.ToArray());
        Instruction instruction = decoder.Decode();

        Assert.Equal(emitter.Length, instruction.Length);
        Assert.Equal(expected, instruction.ToString().Replace(ignored, "", StringComparison.Ordinal));
    }
}
