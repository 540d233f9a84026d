using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Runtime.CompilerServices;
using System.Text;
using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.Translation;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>
/// What the main shapes of guest code become, as files to read: a change of the translator shows as their diff. With
/// HV_GOLDEN=write the files are written anew.
/// </summary>
public sealed unsafe class GoldenTranslationTests
{
    private const ulong Code = 0x1000;
    private const uint UserVariant = TlbMode.User | 0x1C; // with SSE, AVX and x87
    private const uint SupervisorVariant = TlbMode.Supervisor;
    private const uint FlatVariant = UserVariant | 0xB000; // legacy, flat, stack of 32 bits
    private const uint SegmentedVariant = SupervisorVariant | 0x5000; // legacy, code and stack of 16 bits

    public static TheoryData<string> Shapes => [.. s_shapes.Keys];

    private static readonly Dictionary<string, Action<Assembler>> s_shapes = new()
    {
        ["registers"] = c =>
        {
            c.mov(rax, rbx);
            c.add(ecx, edx);
            c.lea(rsi, __[rdi + (rax * 4) + 16]);
            c.shl(rbx, cl);
            c.mov(r8, r9);
            c.add(r10d, 5);
            c.cmove(rax, r11);
        },
        ["memory"] = c =>
        {
            Label here = c.CreateLabel();
            c.Label(ref here);
            c.mov(rax, __qword_ptr[rdi]);
            c.mov(__dword_ptr[rdi + 8], ecx);
            c.add(__qword_ptr[rsi + (rcx * 8)], 1);
            c.movzx(edx, __byte_ptr[r8 + 3]);
            c.mov(r9, __qword_ptr[here]);
            c.mov(rax, __qword_ptr.fs[0x28]);
        },
        ["table"] = c =>
        {
            c.movzx(ecx, cl);
            c.xor(eax, __dword_ptr[rsi + (rcx * 4)]);
            c.and(ebx, 15);
            c.mov(__byte_ptr[rdi + rbx + 0x40], al);
        },
        ["stack"] = c =>
        {
            c.push(rbx);
            c.push(r12);
            c.sub(rsp, 32);
            c.mov(__qword_ptr[rsp + 8], rax);
            c.add(rsp, 32);
            c.pop(r12);
            c.leave();
            c.ret();
        },
        ["loop"] = c =>
        {
            Label top = c.CreateLabel();
            c.Label(ref top);
            c.add(rax, __qword_ptr[rdi]);
            c.add(rdi, 8);
            c.cmp(rdi, rsi);
            c.jne(top);
            c.jmp(top);
        },
        ["calls"] = c =>
        {
            c.call(Code + 0x40);
            c.db(0x90);
        },
        ["indirect"] = c => c.jmp(__qword_ptr[rbx + (rax * 8)]),
        ["vectors"] = c =>
        {
            c.movaps(xmm0, __xmmword_ptr[rdi]);
            c.addps(xmm0, xmm1);
            c.vmovdqu(ymm2, __ymmword_ptr[rsi + 32]);
            c.vpaddd(ymm3, ymm2, ymm0);
            c.movups(__xmmword_ptr[rdi], xmm0);
        },
        ["division"] = c =>
        {
            c.xor(edx, edx);
            c.div(rcx);
            c.cqo();
            c.idiv(rbx);
        },
        ["system"] = c =>
        {
            c.rdtsc();
            c.cpuid();
        },
    };

    [Theory]
    [InlineData("flat")]
    [InlineData("segmented")]
    public void Legacy_translation_is_the_one_in_the_file(string shape)
    {
        string listing = shape == "flat"
            ? Translate(LegacyCode, FlatVariant, bits: 32)
            : Translate(LegacyCode, SegmentedVariant, bits: 16);

        AssertFile($"legacy-{shape}.txt", listing);
    }

    private static void LegacyCode(Assembler c)
    {
        Label end = c.CreateLabel();
        if (c.Bitness == 32)
        {
            c.push(ebx);
            c.mov(eax, __dword_ptr[0x12345678]);
            c.mov(ecx, __dword_ptr[ebx]);
            c.add(__dword_ptr[ebx + 8], ecx);
            c.mov(edx, __dword_ptr.fs[ebx + (eax * 4)]);
            c.movzx(ecx, ah);
            c.rep.stosd();
            c.pop(ebx);
            c.jecxz(end);
            c.call(Code + 0x2000);
            c.Label(ref end);
            c.ret();
            return;
        }

        c.push(bx);
        c.mov(ax, __word_ptr[0x1234]);
        c.mov(cx, __word_ptr[bx + si + 2]);
        c.add(__byte_ptr.es[di], ah);
        c.pop(bx);
        c.loop(end);
        c.call(Code + 0x2000);
        c.Label(ref end);
        c.ret();
    }

    // What programs are made of, a piece each.
    private static readonly (string Name, Action<Assembler> Write)[] s_counted =
    [
        ("mov rax, rbx", c => c.mov(rax, rbx)),
        ("mov r8, r9 (both in memory)", c => c.mov(r8, r9)),
        ("add ecx, 5", c => c.add(ecx, 5)),
        ("lea rsi, [rdi + rax * 4 + 16]", c => c.lea(rsi, __[rdi + (rax * 4) + 16])),
        ("shl rbx, cl", c => c.shl(rbx, cl)),
        ("imul rax, rdx", c => c.imul(rax, rdx)),
        ("div rcx", c => c.div(rcx)),
        ("mov rax, [rbx]", c => c.mov(rax, __qword_ptr[rbx])),
        ("mov rax, [rbx + rcx * 8 + 4]", c => c.mov(rax, __qword_ptr[rbx + (rcx * 8) + 4])),
        ("mov [rbx], rax", c => c.mov(__qword_ptr[rbx], rax)),
        ("add [rbx + 4], eax", c => c.add(__dword_ptr[rbx + 4], eax)),
        ("mov rdx, fs:[0x28]", c => c.mov(rdx, __qword_ptr.fs[0x28])),
        ("two loads at one base", c =>
        {
            c.mov(rax, __qword_ptr[rbx]);
            c.mov(rdx, __qword_ptr[rbx + 8]);
        }),
        ("push rbx", c => c.push(rbx)),
        ("six pushes", c =>
        {
            foreach (AssemblerRegister64 register in (AssemblerRegister64[])[rbp, rbx, r12, r13, r14, rdi])
            {
                c.push(register);
            }
        }),
        ("pop rbx", c => c.pop(rbx)),
        ("test rax, rax; je", c =>
        {
            c.test(rax, rax);
            c.je(Code + 0x100);
        }),
        ("jmp to another page", c => c.jmp(Code + 0x2000)),
        ("jmp rax", c => c.jmp(rax)),
        ("call within the page", c => c.call(Code + 0x100)),
        ("call to another page", c => c.call(Code + 0x2000)),
        ("call [rbx]", c => c.call(__qword_ptr[rbx])),
        ("ret", c => c.ret()),
        ("rep stosq", c => c.rep.stosq()),
        ("movaps xmm0, [rdi]", c => c.movaps(xmm0, __xmmword_ptr[rdi])),
        ("vpaddd ymm0, ymm1, [rdi]", c => c.vpaddd(ymm0, ymm1, __ymmword_ptr[rdi])),
        ("addsd xmm0, xmm1", c => c.addsd(xmm0, xmm1)),
        ("fld st0", c => c.fld(st0)),
        ("lock xadd [rdi], eax", c => c.@lock.xadd(__dword_ptr[rdi], eax)),
        ("cpuid (from the table)", c => c.cpuid()),
    ];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Translation_is_the_one_in_the_file(string shape)
    {
        string listing = Translate(s_shapes[shape], UserVariant);
        if (shape is "memory" or "calls" or "stack")
        {
            listing += "\n--- supervisor ---\n" + Translate(s_shapes[shape], SupervisorVariant);
        }

        if (shape is "loop")
        {
            listing += "\n--- where LOOP is slow ---\n" + Translate(s_shapes[shape], UserVariant, usesLoop: false);
        }

        AssertFile(shape + ".txt", listing);
    }

    [Fact]
    public void Instructions_take_as_many_of_the_host_as_in_the_file()
    {
        var text = new StringBuilder();
        foreach ((string name, Action<Assembler> write) in s_counted)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"{CountHost(Translate(write, UserVariant)),3}  {name}");
        }

        AssertFile("counts.txt", text.ToString());
    }

    // Host instructions between the entries and the UD2 that ends each piece, without what lies elsewhere.
    private static int CountHost(string listing)
    {
        int count = 0;
        bool isCounting = false;
        foreach (string line in listing.Split('\n'))
        {
            bool isGuest = line.Length > 0 && line[0] != ' ';
            isCounting = isGuest
                ? !line.StartsWith("entries", StringComparison.Ordinal)
                    && !line.StartsWith("elsewhere", StringComparison.Ordinal)
                    && !line.EndsWith("ud2", StringComparison.Ordinal)
                : isCounting;
            count += !isGuest && isCounting && line.Length > 0 ? 1 : 0;
        }

        return count;
    }

    private static void AssertFile(string name, string listing)
    {
        string path = Path.Combine(Folder(), name);
        if (Environment.GetEnvironmentVariable("HV_GOLDEN") == "write")
        {
            File.WriteAllText(path, listing);
        }

        Assert.Equal(File.ReadAllText(path), listing);
    }

    private static string Folder([CallerFilePath] string path = "")
        => Path.Combine(Path.GetDirectoryName(path)!, "Golden");

    private static string Translate(Action<Assembler> write, uint variant, bool usesLoop = true, int bits = 64)
    {
        string listing = "";
        using var ram = new GuestRam(4 << 20);
        VcpuConfig plain = VcpuConfig.Alone();
        var config = new VcpuConfig
        {
            ApicBus = plain.ApicBus,
            BusLock = plain.BusLock,
            Model = CpuModel.Named("x86-64-v3"),
            Entropy = plain.Entropy,
            Engine = ExecutionEngine.Translator,
            UsesLoop = usesLoop,
            OnTranslated = text => listing = text,
        };
        var timers = new GuestTimers(new GuestClock(new SimClock()));
        using var vcpu = new Vcpu(0, ram, new RecordingBus(), timers, config);
        Assert.SkipWhen(vcpu.Translator is null, "this host has no BMI2 or AVX2");
        var assembler = new Assembler(bits);
        write(assembler);
        assembler.ud2();
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), Code);
        Assert.True(ram.TryWrite(Code, code.ToArray()));
        Assert.True(vcpu.Translator.Translate(ram.Base + Code, Code, new Variant(variant)) != null);
        return listing;
    }
}
