using System;
using System.Collections.Generic;
using System.Text;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle;

/// <summary>Runs random instructions on the bare host and on the interpreter, and reports where they differ.</summary>
public sealed unsafe class DifferentialCampaign : IDisposable
{
    private readonly NativeCpu _native = new();
    private readonly EmulatedCpu _emulated = new();
    private readonly List<OpCodeInfo> _codes;
    private readonly Instruction[] _instructions = new Instruction[BatchCases];
    private readonly byte[] _before = new byte[StoredPages * PageBytes];
    private readonly byte[] _result = new byte[OutputAt];
    private readonly List<string> _differences = [];
    private readonly Dictionary<Code, int> _reported = [];
    private bool _isComparable;

    /// <summary>Starts the native program.</summary>
    public DifferentialCampaign() => _codes = OracleCodes.Find(_emulated.Vcpu);

    /// <summary>How many encodings are compared.</summary>
    public int CodeCount => _codes.Count;

    /// <summary>Cases that differed so far.</summary>
    public long MismatchCount { get; private set; }

    /// <summary>Encodings that differed at least once.</summary>
    public int MismatchedCodeCount => _reported.Count;

    /// <summary>Limits the campaign to mnemonics whose name starts with <paramref name="prefix"/>.</summary>
    public void Only(string prefix)
        => _codes.RemoveAll(info => !info.Mnemonic.ToString().StartsWith(prefix, StringComparison.OrdinalIgnoreCase));

    /// <summary>Runs batch <paramref name="number"/> of the campaign with <paramref name="seed"/>.</summary>
    /// <param name="seed">With the number, the same every time.</param>
    /// <param name="number">From 0.</param>
    /// <param name="report">Gets a text for the first mismatches of each encoding.</param>
    /// <returns>How many cases ran.</returns>
    public int RunBatch(int seed, int number, Action<string> report)
    {
        var random = new Random(HashCode(seed, number));
        var generator = new CaseGenerator(_codes, random);
        if (number % 4 == 3)
        {
            FillHeaders(random);
        }
        else
        {
            new InterestingValues(random).Fill(_before);
        }

        for (int i = 0; i < BatchCases; i++)
        {
            _instructions[i] = generator.Generate(_native.Case(i), i, _native.Slot(i));
        }

        ResetMemory();
        _native.Run(0, BatchCases);
        bool isSame = true;
        for (int i = 0; i < BatchCases; i++)
        {
            RunCase(i);
            isSame &= _differences.Count == 0;
        }

        if (!isSame || !_native.Sandbox.SequenceEqual(_emulated.Sandbox))
        {
            FindMismatches(seed, number, report);
        }

        return BatchCases;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _native.Dispose();
        _emulated.Dispose();
    }

    private static int HashCode(int seed, int number) => unchecked((seed * 1_000_003) + number);

    // Every line is a valid XSAVE header and a valid MXCSR, so that XRSTOR and FXRSTOR have something to restore.
    private void FillHeaders(Random random)
    {
        const int LineBytes = 64;
        const ulong Compacted = 1ul << 63;
        Array.Clear(_before);
        for (int at = 0; at < _before.Length; at += LineBytes)
        {
            uint present = (uint)random.Next(8);
            ulong format = random.Next(2) == 0 ? 0 : Compacted | 7;
            if (HasWide && format != 0 && random.Next(2) == 0)
            {
                // In the standard format these are elsewhere on each vendor's hosts.
                uint wide = (uint)random.Next(8) << 5;
                format |= wide;
                present |= (uint)random.Next(256) & wide;
            }

            BitConverter.TryWriteBytes(_before.AsSpan(at), (ulong)present);
            BitConverter.TryWriteBytes(_before.AsSpan(at + 8), format);
        }
    }

    private void ResetMemory()
    {
        _before.CopyTo(_native.Sandbox);
        _before.CopyTo(_emulated.Sandbox);
    }

    private void RunCase(int index)
    {
        byte* record = _native.Case(index);
        fixed (byte* emulated = _result)
        {
            EmulatedResult result = _emulated.Run(record, index, _native.Slot(index));
            if (result.Vector == -1)
            {
                VendorDifferences.AdoptMxcsrMask(record, _instructions[index], _emulated.Sandbox);
            }

            _emulated.Store(emulated);
            _differences.Clear();
            _isComparable = CaseComparer.Compare(
                record, record + OutputAt, emulated, result, _instructions[index], _differences);
        }
    }

    // Cases share the memory of their batch. Again, one by one, so that a difference does not bring others.
    private void FindMismatches(int seed, int number, Action<string> report)
    {
        ResetMemory();
        for (int i = 0; i < BatchCases; i++)
        {
            _native.Run(i, 1);
            RunCase(i);
            ReadOnlySpan<byte> host = _native.Sandbox;
            ReadOnlySpan<byte> ours = _emulated.Sandbox;
            int at = host.CommonPrefixLength(ours);
            if (at < host.Length && _isComparable && !MayStoreBeforeFault(i))
            {
                int count = Math.Min(16, host.Length - at);
                _differences.Add($"memory at {at:X}: host {Convert.ToHexString(host.Slice(at, count))}, "
                    + $"ours {Convert.ToHexString(ours.Slice(at, count))}");
            }

            if (_differences.Count > 0)
            {
                Report(seed, number, i, report);
            }

            host.CopyTo(_emulated.Sandbox);
        }
    }

    // CALL stores before it finds its target bad, FBSTP and FNSAVE before the second page; on some hosts.
    private bool MayStoreBeforeFault(int index)
        => *(long*)(_native.Case(index) + OutputAt + Trap) > 0
            && (CaseComparer.IsMasked(_instructions[index]) || _instructions[index].Mnemonic
                is Mnemonic.Call or Mnemonic.Fstp or Mnemonic.Fbstp or Mnemonic.Fnsave or Mnemonic.Fnstenv);

    private void Report(int seed, int number, int index, Action<string> report)
    {
        MismatchCount++;
        Instruction instruction = _instructions[index];
        int seen = _reported.GetValueOrDefault(instruction.Code);
        _reported[instruction.Code] = seen + 1;
        if (seen >= 2)
        {
            return;
        }

        byte* record = _native.Case(index);
        var text = new StringBuilder();
        text.Append($"seed {seed} batch {number} case {index}: {instruction} ({instruction.Code}) ");
        text.AppendLine(Convert.ToHexString(_native.Slot(index)[..instruction.Length]));
        text.Append("  in:");
        string[] names = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
        for (int i = 0; i < 16; i++)
        {
            text.Append($" {(i < 8 ? names[i] : $"r{i}")}={((ulong*)record)[i]:X}");
        }

        text.AppendLine($" flags={*(ulong*)(record + Flags):X} mxcsr={*(uint*)(record + Extended + 24):X}"
            + $" fcw={*(ushort*)(record + Extended):X} fsw={*(ushort*)(record + Extended + 2):X}"
            + $" ftw={record[Extended + 4]:X}");
        if (instruction.HasOpMask)
        {
            text.AppendLine($"  mask: {((ulong*)(record + Masks))[instruction.OpMask - Register.K0]:X}");
        }

        foreach (string difference in _differences)
        {
            text.AppendLine($"  {difference}");
        }

        report(text.ToString());
    }
}
