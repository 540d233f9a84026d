using System;
using System.Collections.Generic;
using System.Text;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Runs random programs on one vCPU engine and on a reference, and reports where the ends differ.</summary>
public sealed unsafe class ProgramCampaign : IDisposable
{
    private const int NeverEnds = -2;
    private const int ReportsMax = 5; // each is shrunk, which takes seconds

    private readonly EmulatedProgramCpu _tested;
    private readonly IProgramReference _reference;
    private readonly StopInjector? _injector;
    private readonly bool _comparesWide;
    private readonly InstructionGroups _groups;
    private readonly ProgramAssembler _assembler = new();
    private readonly byte[] _expected = new byte[OutputAt];
    private readonly byte[] _actual = new byte[OutputAt];
    private readonly List<string> _differences = [];
    private readonly SortedDictionary<int, long> _ends = [];

    private readonly ProgramKind _kind;

    private ProgramCampaign(
        ProgramKind kind, VcpuFactory tested, IProgramReference reference, bool injectsStops)
    {
        _kind = kind;
        _tested = new EmulatedProgramCpu(tested, kind == ProgramKind.Real16);
        _reference = reference;
        _comparesWide = _tested.Vcpu.Features.Has(CpuFeature.Avx512F);
        _injector = injectsStops ? new StopInjector(_tested) : null;
        _groups = new InstructionGroups(kind, OracleCodes.Find(_tested.Vcpu, BitsOf(kind)));
    }

    /// <summary>Instructions that the tested engine ran.</summary>
    public ulong InstructionCount { get; private set; }

    /// <summary>Programs whose ends differed.</summary>
    public int MismatchCount { get; private set; }

    /// <summary>How often an injected stop left Run.</summary>
    public long StopCount => _injector?.StopCount ?? 0;

    /// <summary>How many programs ended by each exception.</summary>
    public IReadOnlyDictionary<int, long> Ends => _ends;

    /// <summary>Against the bare host CPU.</summary>
    public static ProgramCampaign AgainstHost(VcpuFactory tested, ProgramKind kind = ProgramKind.Long)
        => new(kind, tested, new NativeReference(), injectsStops: false);

    /// <summary>Against an engine that runs undisturbed, while the tested one is stopped again and again.</summary>
    public static ProgramCampaign AgainstEngine(
        VcpuFactory tested, VcpuFactory reference, ProgramKind kind = ProgramKind.Long)
        => new(kind, tested, new EmulatedReference(reference, kind == ProgramKind.Real16), injectsStops: true);

    /// <summary>Runs the program of <paramref name="seed"/>.</summary>
    /// <param name="seed">The same program every time.</param>
    /// <param name="report">Gets a text for each of the first mismatches.</param>
    public void Run(int seed, Action<string> report)
    {
        RandomProgram program = ProgramGenerator.Generate(
            _groups, _assembler, _kind, isForHost: _injector is null, seed);
        int vector = Compare(program);
        InstructionCount += _tested.InstructionCount;
        _ends[vector] = _ends.GetValueOrDefault(vector) + 1;
        if (_differences.Count == 0)
        {
            return;
        }

        MismatchCount++;
        if (MismatchCount <= ReportsMax)
        {
            string first = string.Join("\n  ", _differences);
            string kind = KindOf(_differences[0]);
            if (vector != NeverEnds)
            {
                ProgramShrinker.Shrink(program, smaller => IsStillDifferent(smaller, kind));
                _assembler.TryAssemble(program);
                Compare(program);
            }

            report(Describe(seed, program, first));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _injector?.Dispose();
        _tested.Dispose();
        _reference.Dispose();
    }

    private static int BitsOf(ProgramKind kind) => kind switch
    {
        ProgramKind.Long => 64,
        ProgramKind.Flat32 or ProgramKind.Based32 => 32,
        ProgramKind.Protected16 or ProgramKind.Real16 => 16,
    };

    // The register or place of a difference.
    private static string KindOf(string difference) => difference[..difference.IndexOf(' ')];

    private bool IsStillDifferent(RandomProgram program, string kind)
    {
        if (!_assembler.TryAssemble(program))
        {
            return false;
        }

        // A program that ends no more is no smaller example.
        return Compare(program) != NeverEnds && _differences.Count > 0 && KindOf(_differences[0]) == kind;
    }

    // Leaves the differences; returns how it ended on the tested engine.
    private int Compare(RandomProgram program)
    {
        _differences.Clear();
        fixed (byte* before = program.State)
        fixed (byte* expected = _expected)
        fixed (byte* actual = _actual)
        {
            EmulatedResult end;
            using (_injector?.Begin())
            {
                end = _tested.Run(program.Mode, program.Image, before, actual);
            }

            EmulatedResult wanted = _reference.Run(program.Mode, program.Image, before, expected);
            if (end.Vector == NeverEnds)
            {
                // Where one segment reaches into another, a program may overwrite what its loops count with; the host
                // comes to its end nevertheless.
                if (program.Mode.IsLong || (wanted.Vector != NeverEnds && _injector is not null))
                {
                    _differences.Add("exception: the program does not end");
                }

                return NeverEnds;
            }

            RflagsBits undefined = UndefinedAt(
                program, *(ulong*)(expected + Rip) + program.Mode.BaseOf(SegmentRegister.Cs));
            ProgramComparer.CompareStates(expected, wanted, actual, end, undefined, _comparesWide, _differences);
            ProgramComparer.CompareImages(_reference.Image, _tested.Image, _differences);
            if (_reference.InstructionCount is { } count && count != _tested.InstructionCount)
            {
                _differences.Add($"instructions finished: {_tested.InstructionCount}, not {count}");
            }

            return end.Vector;
        }
    }

    private static RflagsBits UndefinedAt(RandomProgram program, ulong rip)
    {
        foreach (ProgramNode node in program.Nodes)
        {
            if (node.Address == rip && !node.IsRemoved)
            {
                return node.UndefinedBefore;
            }
        }

        return RflagsBits.None;
    }

    private string Describe(int seed, RandomProgram program, string first)
    {
        var text = new StringBuilder();
        text.AppendLine($"program seed {seed}:\n  {first}\nshrunk to:");
        string[] names = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
        for (int i = 0; i < 16; i++)
        {
            text.Append($" {(i < 8 ? names[i] : $"r{i}")}={BitConverter.ToUInt64(program.State, 8 * i):X}");
        }

        text.AppendLine($" rip={BitConverter.ToUInt64(program.State, Rip):X}"
            + $" flags={BitConverter.ToUInt64(program.State, Flags):X}");
        for (int i = 0; i < 6 && !program.Mode.IsLong; i++)
        {
            Segment segment = program.Mode[i];
            text.AppendLine($"  segment {i}: {segment.Base:X} {segment.Limit:X} {segment.Attributes:X}");
        }

        foreach (ProgramNode node in program.Nodes)
        {
            if (!node.IsRemoved)
            {
                text.AppendLine($"  {node.Address:X}: {Disassemble(program, node)}");
            }
        }

        text.AppendLine("where it differs:\n  " + string.Join("\n  ", _differences));
        return text.ToString();
    }

    private static string Disassemble(RandomProgram program, ProgramNode node)
    {
        byte[] bytes = new byte[node.Length];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = program.Image[ProgramLayout.ImageOffset(node.Address + (ulong)i)];
        }

        if (node.Raw is not null)
        {
            return "bytes " + Convert.ToHexString(bytes);
        }

        var decoder = Iced.Intel.Decoder.Create(program.Mode.Bits, bytes);
        decoder.IP = node.Address - program.Mode.BaseOf(SegmentRegister.Cs);
        string undefined = node.UndefinedBefore == RflagsBits.None ? "" : $"   ; open: {node.UndefinedBefore}";
        return $"{Convert.ToHexString(bytes),-24} {decoder.Decode()}{undefined}";
    }
}
