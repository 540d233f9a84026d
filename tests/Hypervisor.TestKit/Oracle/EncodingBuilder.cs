using System;
using Iced.Intel;

namespace Hypervisor.TestKit.Oracle;

/// <summary>Random bytes that decode to a wanted encoding: prefixes, opcode, then whatever the decoder takes.</summary>
internal sealed partial class EncodingBuilder(Random random)
{
    private const int BytesMax = 15;

    private static readonly byte[] s_segments = [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65];

    private readonly byte[] _bytes = new byte[40];
    private readonly ByteArrayReader _reader = new();
    private Decoder? _decoder;
    private int _count;

    /// <summary>Builds one; false when the dice gave something else.</summary>
    internal bool TryBuild(
        OpCodeInfo info, ulong ip, Span<byte> target, out Instruction instruction, out ConstantOffsets offsets)
    {
        _count = 0;
        Prefixes(info);
        if (info.Encoding == EncodingKind.VEX)
        {
            Vex(info);
        }
        else if (info.Encoding == EncodingKind.EVEX)
        {
            Evex(info);
        }
        else
        {
            Legacy(info);
        }

        Tail(info);
        _reader.Set(_bytes, BytesMax);
        _decoder ??= Decoder.Create(64, _reader, DecoderOptions.None);
        _decoder.IP = ip;
        _decoder.Decode(out instruction);
        offsets = _decoder.GetConstantOffsets(instruction);
        _bytes.AsSpan(0, BytesMax).CopyTo(target);
        return instruction.Code == info.Code;
    }

    private void Prefixes(OpCodeInfo info)
    {
        if (random.Next(12) == 0)
        {
            Add(0x67);
        }

        if (random.Next(8) == 0)
        {
            Add(s_segments[random.Next(s_segments.Length)]);
        }

        if (info.Encoding is EncodingKind.VEX or EncodingKind.EVEX)
        {
            return;
        }

        if (random.Next(info.CanUseLockPrefix ? 5 : 100) == 0)
        {
            Add(0xF0);
        }

        bool isString = info.CanUseRepPrefix || info.CanUseRepnePrefix;
        if (random.Next(isString ? 2 : 60) == 0)
        {
            Add(random.Next(2) == 0 ? (byte)0xF3 : (byte)0xF2);
        }

        if (info.OperandSize == 16)
        {
            Add(0x66);
        }

        switch (info.MandatoryPrefix)
        {
            case MandatoryPrefix.P66:
                Add(0x66);
                break;
            case MandatoryPrefix.PF3:
                Add(0xF3);
                break;
            case MandatoryPrefix.PF2:
                Add(0xF2);
                break;
            default:
                break;
        }

        bool wide = info.OperandSize == 64 && !info.DefaultOpSize64;
        if (wide || random.Next(2) == 0)
        {
            Add((byte)(0x40 | (wide ? 8 : 0) | random.Next(8)));
        }
    }

    private void Legacy(OpCodeInfo info)
    {
        switch (info.Table)
        {
            case OpCodeTableKind.T0F:
                Add(0x0F);
                break;
            case OpCodeTableKind.T0F38:
                Add(0x0F);
                Add(0x38);
                break;
            case OpCodeTableKind.T0F3A:
                Add(0x0F);
                Add(0x3A);
                break;
            default:
                break;
        }

        Opcode(info);
    }

    private void Vex(OpCodeInfo info)
    {
        int source = UsesSource(info) ? random.Next(16) : 15;
        int length = info.IsLIG ? random.Next(2) : (int)info.L;
        int wide = info.IsWIG ? random.Next(2) : (int)info.W;
        Add(0xC4);
        Add((byte)((random.Next(8) << 5) | Map(info)));
        Add((byte)((wide << 7) | (source << 3) | (length << 2) | Prefix(info)));
        Opcode(info);
    }

    private static int Map(OpCodeInfo info) => info.Table switch
    {
        OpCodeTableKind.T0F => 1,
        OpCodeTableKind.T0F38 => 2,
        _ => 3,
    };

    private static int Prefix(OpCodeInfo info) => info.MandatoryPrefix switch
    {
        MandatoryPrefix.P66 => 1,
        MandatoryPrefix.PF3 => 2,
        MandatoryPrefix.PF2 => 3,
        _ => 0,
    };

    private static bool UsesSource(OpCodeInfo info)
    {
        bool usesSource = false;
        for (int i = 0; i < info.OpCount; i++)
        {
            usesSource |= info.GetOpKind(i).ToString().Contains("vvvv", StringComparison.Ordinal);
        }

        return usesSource;
    }

    private void Opcode(OpCodeInfo info)
    {
        uint opcode = info.OpCode;
        if (info.OpCodeLength == 2)
        {
            Add((byte)(opcode >> 8));
        }

        bool isRegister = false;
        for (int i = 0; i < info.OpCount; i++)
        {
            isRegister |= info.GetOpKind(i) is OpCodeOperandKind.r8_opcode or OpCodeOperandKind.r16_opcode
                or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r64_opcode or OpCodeOperandKind.sti_opcode;
        }

        Add((byte)(opcode | (isRegister ? (uint)random.Next(8) : 0)));
    }

    // ModRM, SIB, displacement, immediate: all random, but for the group's digit and a liking for small displacements.
    private void Tail(OpCodeInfo info)
    {
        int modRmAt = _count;
        random.NextBytes(_bytes.AsSpan(_count));
        if (info.Encoding == EncodingKind.EVEX)
        {
            _bytes[modRmAt] = (byte)(_isRegister ? _bytes[modRmAt] | 0xC0 : _bytes[modRmAt] & 0xBF);
        }
        else if (random.Next(3) == 0)
        {
            _bytes[modRmAt] |= 0xC0;
        }

        if (info.GroupIndex >= 0)
        {
            _bytes[modRmAt] = (byte)((_bytes[modRmAt] & 0xC7) | (info.GroupIndex << 3));
        }
    }

    private void Add(byte value) => _bytes[_count++] = value;

    private sealed class ByteArrayReader : CodeReader
    {
        private byte[] _bytes = [];
        private int _next;
        private int _end;

        internal void Set(byte[] bytes, int count)
        {
            _bytes = bytes;
            _next = 0;
            _end = count;
        }

        public override int ReadByte() => _next < _end ? _bytes[_next++] : -1;
    }
}
