using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Lays a program out and writes its code, and the words that hold code addresses, into its image.</summary>
internal sealed class ProgramAssembler
{
    private const byte Filler = 0xCC;

    private readonly ByteWriter _writer = new();
    private readonly Encoder[] _encoders;
    private Encoder _encoder;
    private ProgramMode _mode;
    private ulong _address;

    internal ProgramAssembler()
    {
        _encoders = [Encoder.Create(16, _writer), Encoder.Create(32, _writer), Encoder.Create(64, _writer)];
        _encoder = _encoders[0];
        _mode = new ProgramMode(ProgramKind.Long, new Random(0));
    }

    /// <summary>False: an instruction cannot be encoded, or the code does not fit.</summary>
    internal bool TryAssemble(RandomProgram program)
    {
        _mode = program.Mode;
        _encoder = _encoders[_mode.Bits / 32];
        ulong codeBase = _mode.BaseOf(SegmentRegister.Cs);
        for (ulong at = CodeAddress; at < CodeAddress + (CodePages * PageBytes); at += PageBytes)
        {
            program.Image.AsSpan(ImageOffset(at), PageBytes).Fill(Filler);
        }

        program.Image.AsSpan(ImageOffset(ExitAddress), PageBytes).Fill(Filler);
        program.Image[ImageOffset(ExitAddress)] = 0x0F; // UD2
        program.Image[ImageOffset(ExitAddress) + 1] = 0x0B;
        if (!TryLayOut(program))
        {
            return false;
        }

        foreach (ProgramNode node in program.Nodes)
        {
            if (!node.IsRemoved && !TryWrite(program, node))
            {
                return false;
            }
        }

        BinaryPrimitives.WriteUInt64LittleEndian(
            program.State.AsSpan(OracleLayout.Rip), program.Start.Node!.Address - codeBase);
        foreach ((ulong address, ProgramLabel label) in program.Words)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(
                program.Image.AsSpan(ImageOffset(address)), label.Node!.Address - codeBase);
        }

        return true;
    }

    // Sizes do not depend on addresses: what holds an address is written in its wide form.
    private bool TryLayOut(RandomProgram program)
    {
        _address = CodeAddress;
        foreach (ProgramSection section in program.Sections)
        {
            _address = Math.Max(_address, section.Address);
            foreach (ProgramNode node in section.Nodes)
            {
                if (!TryPlace(node))
                {
                    return false;
                }
            }
        }

        return _address < CodeAddress + (CodePages * PageBytes);
    }

    private bool TryPlace(ProgramNode node)
    {
        if (node.BytesBeforePageEnd > 0)
        {
            ulong wanted = PageBytes - (ulong)node.BytesBeforePageEnd;
            _address += (wanted - _address) & (PageBytes - 1);
        }

        node.Address = _address;
        node.Length = 0;
        if (node.IsRemoved)
        {
            return true;
        }

        if (node.Raw is not null)
        {
            node.Length = node.Raw.Length;
        }
        else
        {
            if (!TryEncode(node, CodeAddress + 0x1000, _address))
            {
                return false;
            }

            node.Length = _writer.Bytes.Count;
            node.ImmediateOffset = _encoder.GetConstantOffsets().ImmediateOffset;
        }

        _address += (ulong)node.Length;
        return true;
    }

    private bool TryWrite(RandomProgram program, ProgramNode node)
    {
        IReadOnlyList<byte> bytes = _writer.Bytes;
        if (node.Raw is not null)
        {
            bytes = node.Raw;
        }
        else
        {
            ulong target = node.Target?.Node is { } place
                ? place.Address + (ulong)node.Offset
                    + (node.Fixup == ProgramFixup.MemoryOfImmediate ? (ulong)place.ImmediateOffset : 0)
                : ExitAddress;
            if (!TryEncode(node, target, node.Address) || _writer.Bytes.Count != node.Length)
            {
                return false;
            }
        }

        for (int i = 0; i < bytes.Count; i++)
        {
            program.Image[ImageOffset(node.Address + (ulong)i)] = bytes[i];
        }

        return true;
    }

    private bool TryEncode(ProgramNode node, ulong target, ulong address)
    {
        Instruction instruction = node.Instruction;
        ulong codeBase = _mode.BaseOf(SegmentRegister.Cs);
        switch (node.Fixup)
        {
            case ProgramFixup.None:
                break;
            case ProgramFixup.Branch:
                SetTarget(ref instruction, target - codeBase);
                break;
            case ProgramFixup.Immediate:
                instruction.SetImmediate(instruction.OpCount - 1, target - codeBase);
                break;
            case ProgramFixup.Memory:
            case ProgramFixup.MemoryOfImmediate:
                bool isBased = instruction.SegmentPrefix == Register.FS;
                instruction.MemoryDisplacement64 = target - (isBased ? _mode.BaseOf(SegmentRegister.Fs) : 0);
                break;
        }

        _writer.Bytes.Clear();
        return _encoder.TryEncode(instruction, address - codeBase, out _, out _);
    }

    private static void SetTarget(ref Instruction instruction, ulong target)
    {
        switch (instruction.Op0Kind)
        {
            case OpKind.NearBranch16:
                instruction.NearBranch16 = (ushort)target;
                break;
            case OpKind.NearBranch32:
                instruction.NearBranch32 = (uint)target;
                break;
            default:
                instruction.NearBranch64 = target;
                break;
        }
    }

    private sealed class ByteWriter : CodeWriter
    {
        internal List<byte> Bytes { get; } = [];

        public override void WriteByte(byte value) => Bytes.Add(value);
    }
}
