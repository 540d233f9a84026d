using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Hypervisor.Cpu;
using Hypervisor.Sessions;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Program;

/// <summary>What perf is told about generated code.</summary>
public sealed class PerfMapTests
{
    [Fact]
    public void Line_is_start_size_and_name_in_perfs_format()
    {
        string path = $"/tmp/perf-{Environment.ProcessId}.map";
        using (PerfMap map = PerfMap.Open())
        {
            map.Add(new CodeArea(0x7F00_1000, 0x2C, "user 401230"));
        }

        string[] lines = File.ReadAllLines(path);
        File.Delete(path);
        Assert.Contains("7f001000 2c user 401230", lines);
    }

    [Fact]
    public void Each_translated_block_is_named_by_its_guest_address_and_none_overlap()
    {
        var areas = new List<CodeArea>();
        using var program = new AsmProgram(
            CpuMode.Long,
            a =>
            {
                Label again = a.CreateLabel();
                a.mov(ecx, 100);
                a.Label(ref again); // at +5
                a.add(__qword_ptr[AsmProgram.Data], rcx);
                a.dec(ecx);
                a.jne(again);
                a.hlt();
            },
            engine: ExecutionEngine.Translator,
            onCode: areas.Add);

        program.Run();

        string name = $"kernel {AsmProgram.Code + 5:x}";
        Assert.Contains(areas, area => area.Name == name && area.Bytes is > 8 and < 400);
        Assert.Contains(areas, area => area.Name == name + " rare" && area.Bytes > 0);
        CodeArea[] sorted = [.. areas.OrderBy(area => area.Address)];
        for (int i = 1; i < sorted.Length; i++)
        {
            Assert.True(sorted[i - 1].Address + (ulong)sorted[i - 1].Bytes <= sorted[i].Address);
        }
    }
}
