using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle;

/// <summary>Makes cases: an instruction, and a state in which it does something.</summary>
internal sealed unsafe class CaseGenerator(List<OpCodeInfo> codes, Random random)
{
    private const ulong FlagBits = 0x8D5;
    private const ulong Direction = 0x400;
    private const ulong AlignmentCheck = 0x4_0000;

    private readonly InterestingValues _values = new(random);
    private readonly EncodingBuilder _builder = new(random);

    /// <summary>Fills record and slot; returns what the slot holds.</summary>
    internal Instruction Generate(byte* record, int index, Span<byte> slot)
    {
        ulong ip = CodeAddress + (ulong)(index * SlotBytes);
        slot.Fill(0xCC);
        Instruction instruction;
        ConstantOffsets offsets;
        do
        {
            while (!_builder.TryBuild(codes[random.Next(codes.Count)], ip, slot, out instruction, out offsets)
                || VendorDifferences.IsOtherInstruction(instruction, slot))
            {
            }

            FillState(record);
            VendorDifferences.DropPointers(record + Extended, instruction);
            *(ulong*)(record + Rip) = ip;
            Steer(record, instruction, offsets, ip, slot);
        }
        while (IsNativeOnly(((ulong*)record)[4])); // PUSH [RSP + displacement]: the operand is fine, the stack is not

        instruction = Redecode(slot, ip);
        WideRegisters.Join(record);
        WriteExit(slot, instruction.Length, FirstExitPointer);
        WriteExit(slot, SecondExit, SecondExitPointer);
        return instruction;
    }

    private static Instruction Redecode(Span<byte> slot, ulong ip)
    {
        var decoder = Decoder.Create(64, slot[..15].ToArray());
        decoder.IP = ip;
        return decoder.Decode();
    }

    // JMP [absolute]
    private static void WriteExit(Span<byte> slot, int at, int pointer)
    {
        slot[at..].Slice(0, at == SecondExit ? SlotBytes - at : SecondExit - at).Fill(0xCC);
        slot[at] = 0xFF;
        slot[at + 1] = 0x24;
        slot[at + 2] = 0x25;
        BinaryPrimitives.WriteUInt32LittleEndian(slot[(at + 3)..], (uint)ControlAddress + (uint)pointer);
    }

    private void FillState(byte* record)
    {
        ulong* registers = (ulong*)record;
        for (int i = 0; i < 16; i++)
        {
            registers[i] = _values.Integer();
        }

        registers[4] = SandboxAddress + PageBytes + (ulong)(random.Next(2 * PageBytes / 8) * 8);
        if (random.Next(20) == 0)
        {
            registers[4] = Target(8);
        }

        *(ulong*)(record + Flags) = ((ulong)random.Next() & (FlagBits | (random.Next(8) == 0 ? Direction : 0))) | 2
            | (random.Next(30) == 0 ? AlignmentCheck : 0);
        byte* area = record + Extended;
        new Span<byte>(area, ExtendedBytes).Clear();
        FillFpu(area);
        uint mxcsr = 0x1F80 | ((uint)random.Next(4) << 13) | (random.Next(3) == 0 ? (uint)random.Next(64) : 0)
            | (random.Next(8) == 0 ? 0x8000u : 0) | (random.Next(8) == 0 ? 0x40u : 0);
        if (random.Next(8) == 0)
        {
            mxcsr &= ~((uint)random.Next(64) << 7);
        }

        *(uint*)(area + 24) = mxcsr;
        *(uint*)(area + 28) = 0xFFFF;
        *(ulong*)(area + 512) = 7;
        for (int i = 0; i < 16; i++)
        {
            _values.Fill(new Span<byte>(area + 160 + (16 * i), 16));
            _values.Fill(new Span<byte>(area + 576 + (16 * i), 16));
        }

        WideRegisters.Fill(record, _values, random);
    }

    private void FillFpu(byte* area)
    {
        int precision = random.Next(4) switch { 0 => 0, 1 => 2, _ => 3 };
        ushort control = (ushort)(0x7F | (random.Next(4) << 10) | (precision << 8));
        if (random.Next(6) == 0)
        {
            control &= (ushort)~random.Next(64);
        }

        ushort status = (ushort)((random.Next(8) << 11) | (random.Next(16) switch { 0 => 0x4700, 1 => 0x100, _ => 0 }));
        if (random.Next(4) == 0)
        {
            status |= (ushort)random.Next(64);
        }

        if ((status & ~control & 0x3F) != 0)
        {
            // Pending: every waiting instruction faults, which is worth a few cases only.
            status = random.Next(4) == 0 ? (ushort)(status | 0x8080) : (ushort)(status & ~0x3F);
        }

        *(ushort*)area = control;
        *(ushort*)(area + 2) = status;
        area[4] = random.Next(3) switch { 0 => 0, 1 => 0xFF, _ => (byte)random.Next(256) };
        *(ushort*)(area + 6) = (ushort)random.Next(0x800);
        *(ulong*)(area + 8) = (uint)random.Next();
        *(ulong*)(area + 16) = (uint)random.Next();
        for (int i = 0; i < 8; i++)
        {
            _values.FillExtended(new Span<byte>(area + 32 + (16 * i), 10));
        }
    }

    // An address in the sandbox: mostly inside, often at the edge of pages, sometimes aligned.
    private ulong Target(int size)
    {
        ulong inside = SandboxAddress + PageBytes + (ulong)random.Next((2 * PageBytes) - 128);
        ulong boundary = SandboxAddress + (ulong)(random.Next(1, SandboxPages) * PageBytes);
        ulong edge = boundary + (ulong)random.Next(-size - 1, 3);
        return random.Next(8) switch
        {
            0 => edge,
            1 => SandboxAddress + (5 * PageBytes) + (ulong)random.Next(PageBytes - 64),
            2 => inside,
            3 => inside & ~63ul,
            _ => inside & ~(ulong)((size - 1) | 15),
        };
    }

    // Points the instruction's memory operands and branch into the sandbox and the slot.
    private void Steer(byte* record, in Instruction instruction, ConstantOffsets offsets, ulong ip, Span<byte> slot)
    {
        ulong* registers = (ulong*)record;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.Memory:
                    SteerMemory(record, instruction, offsets, slot);
                    break;
                case OpKind.NearBranch64 or OpKind.NearBranch32 or OpKind.NearBranch16:
                    // To the second exit or where no code is: anywhere else it might never come back.
                    bool isFar = offsets.ImmediateSize == 4 && random.Next(8) == 0;
                    ulong goal = isFar ? Target(8) : ip + SecondExit;
                    long distance = (long)goal - (long)(ip + (ulong)instruction.Length);
                    WriteLittleEndian(slot.Slice(offsets.ImmediateOffset, offsets.ImmediateSize), distance);
                    break;
                case OpKind.MemorySegRSI or OpKind.MemorySegESI:
                    registers[6] = Target(8) - SegmentBase(instruction.MemorySegment);
                    break;
                case OpKind.MemoryESRDI or OpKind.MemoryESEDI:
                    registers[7] = Target(8);
                    break;
                case OpKind.MemorySegRDI or OpKind.MemorySegEDI:
                    registers[7] = Target(16) - SegmentBase(instruction.MemorySegment);
                    break;
                default:
                    break;
            }
        }

        bool isRepeated = instruction.IsStringInstruction && (instruction.HasRepePrefix || instruction.HasRepnePrefix);
        if (isRepeated || instruction.Mnemonic is Mnemonic.Loop
            or Mnemonic.Loope or Mnemonic.Loopne or Mnemonic.Jrcxz or Mnemonic.Jecxz)
        {
            registers[1] = (ulong)random.Next(random.Next(4) == 0 ? 600 : 5);
        }

        if (instruction.Mnemonic is Mnemonic.Leave or Mnemonic.Enter)
        {
            registers[5] = Target(8);
        }

        // The two sides have different XCR0: ask only for what both know.
        if (instruction.Code.CpuidFeatures()[0] is CpuidFeature.XSAVE or CpuidFeature.XSAVEC or CpuidFeature.XSAVEOPT)
        {
            bool isWide = HasWide && random.Next(2) == 0
                && instruction.Mnemonic is Mnemonic.Xsavec or Mnemonic.Xsavec64 or Mnemonic.Xrstor or Mnemonic.Xrstor64;
            registers[0] = (uint)(random.Next(8) | (isWide ? random.Next(8) << 5 : 0));
            registers[2] = 0;
        }
    }

    private void SteerMemory(byte* record, in Instruction instruction, ConstantOffsets offsets, Span<byte> slot)
    {
        ulong* registers = (ulong*)record;
        int size = Math.Max(1, instruction.MemorySize.GetSize());
        ulong target = Target(size) - SegmentBase(instruction.MemorySegment);
        if (instruction.Code.CpuidFeatures()[0] is CpuidFeature.FXSR or CpuidFeature.XSAVE or CpuidFeature.XSAVEC
            or CpuidFeature.XSAVEOPT && random.Next(8) != 0)
        {
            target &= ~63ul;
        }

        ulong displacement = instruction.MemoryDisplacement64;
        if (instruction.IsIPRelativeMemoryOperand)
        {
            long relative = (long)target - (long)instruction.NextIP;
            WriteLittleEndian(slot.Slice(offsets.DisplacementOffset, 4), relative);
            return;
        }

        Register baseRegister = instruction.MemoryBase;
        Register index = instruction.MemoryIndex;
        ulong scale = (ulong)instruction.MemoryIndexScale;
        if (index.IsVectorRegister())
        {
            SpreadIndices(record, index.GetNumber());
            index = Register.None;
        }

        if (baseRegister == Register.None && index == Register.None)
        {
            if (offsets.HasDisplacement)
            {
                WriteLittleEndian(slot.Slice(offsets.DisplacementOffset, offsets.DisplacementSize), (long)target);
            }
        }
        else if (baseRegister == Register.None)
        {
            registers[index.GetFullRegister().GetNumber()] = (target - displacement) / scale;
        }
        else if (index == Register.None)
        {
            registers[baseRegister.GetFullRegister().GetNumber()] = target - displacement;
        }
        else if (baseRegister == index)
        {
            registers[index.GetFullRegister().GetNumber()] = (target - displacement) / (1 + scale);
        }
        else
        {
            ulong offset = random.Next(2) == 0 ? (ulong)random.Next(-40, 40) : _values.Integer();
            registers[index.GetFullRegister().GetNumber()] = offset;
            registers[baseRegister.GetFullRegister().GetNumber()] = target - displacement - (offset * scale);
        }
    }

    // Gathers: small distances, so that some elements are in the sandbox and some are not.
    private void SpreadIndices(byte* record, int register)
    {
        bool wide = random.Next(2) == 0;
        int most = random.Next(4) == 0 ? 600 : 64;
        for (int at = 0; at < 64; at += 4)
        {
            int value = wide && (at & 4) != 0 ? 0 : random.Next(0, most);
            *(int*)(record + Vectors + (64 * register) + at) = value;
            if (register < 16 && at < 32)
            {
                int half = at < 16 ? 160 : 576;
                *(int*)(record + Extended + half + (16 * register) + (at & 15)) = value;
            }
        }
    }

    private static ulong SegmentBase(Register segment)
        => segment == Register.FS ? FsBase : segment == Register.GS ? GsBase : 0;

    private static void WriteLittleEndian(Span<byte> target, long value)
    {
        for (int i = 0; i < target.Length; i++)
        {
            target[i] = (byte)(value >> Math.Min(8 * i, 63));
        }
    }
}
