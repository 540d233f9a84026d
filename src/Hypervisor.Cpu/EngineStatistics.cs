using System;
using System.Collections.Generic;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Translation;
using Iced.Intel;

namespace Hypervisor.Cpu;

/// <summary>What an engine did so far: counts for people who tune it. Written by the vCPU's thread.</summary>
public sealed class EngineStatistics
{
    private readonly ulong[] _exits = new ulong[Enum.GetValues<ExitReason>().Length];
    private readonly ulong[] _codes = new ulong[Enum.GetValues<Code>().Length];

    /// <summary>Blocks translated.</summary>
    public ulong TranslatedBlocks { get; internal set; }

    /// <summary>Guest instructions in them.</summary>
    public ulong TranslatedInstructions { get; internal set; }

    /// <summary>Times that the oldest translations made room for new ones.</summary>
    public ulong Evictions { get; internal set; }

    /// <summary>Host time that the longest of these took.</summary>
    public ulong LongestEvictionNanos { get; internal set; }

    /// <summary>Host time that translating took.</summary>
    public ulong TranslationNanos { get; internal set; }

    /// <summary>Accesses that the TLB did not grant to generated code.</summary>
    public ulong TlbMisses { get; internal set; }

    /// <summary>Blocks that were interpreted because they are cold or not translatable.</summary>
    public ulong InterpretedBlocks { get; internal set; }

    /// <summary>Times that generated code was left, by reason.</summary>
    public IEnumerable<(string Reason, ulong Count)> Exits
    {
        get
        {
            for (int i = 0; i < _exits.Length; i++)
            {
                yield return (((ExitReason)i).ToString(), _exits[i]);
            }
        }
    }

    /// <summary>Instructions inside translated code that were interpreted, the most frequent first.</summary>
    public IReadOnlyList<(string Encoding, ulong Count)> Interpreted
    {
        get
        {
            var list = new List<(string Encoding, ulong Count)>();
            for (int i = 0; i < _codes.Length; i++)
            {
                if (_codes[i] != 0)
                {
                    list.Add((((Code)i).ToString(), _codes[i]));
                }
            }

            list.Sort((left, right) => right.Count.CompareTo(left.Count));
            return list;
        }
    }

    internal void CountExit(ExitReason reason) => _exits[(int)reason]++;

    internal unsafe void CountInterpreted(Operation* op) => _codes[(int)op->Code]++;
}
