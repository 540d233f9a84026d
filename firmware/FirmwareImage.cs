using System;
using System.Buffers.Binary;
using System.IO;
using Iced.Intel;

namespace Hypervisor.Firmware;

/// <summary>Builds our BIOS: the 64 KiB at F0000-FFFFF.</summary>
public static class FirmwareImage
{
    // Interrupts whose work is done by the services in the host.
    private static readonly byte[] s_served =
        [FirmwareLayout.VectorPowerOn, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A];

    /// <summary>The image, the same at each call.</summary>
    public static byte[] Build()
    {
        byte[] image = new byte[FirmwareLayout.ImageBytes];
        var code = new FirmwareCode();
        using var stream = new MemoryStream();
        AssemblerResult result = code.Assembler.Assemble(
            new StreamCodeWriter(stream), FirmwareLayout.Code, BlockEncoderOptions.ReturnNewInstructionOffsets);
        stream.ToArray().CopyTo(image, FirmwareLayout.Code);

        WriteEntries(image, Offset(result, code.Serve));
        WriteVectors(image, result, code);
        WriteDataArea(image.AsSpan(FirmwareLayout.DataTemplate, 0x100));
        WriteTables(image);
        WriteResetVector(image, Offset(result, code.PowerOn));
        return image;
    }

    private static ushort Offset(AssemblerResult result, Label label) => checked((ushort)result.GetLabelRIP(label));

    // push vector (imm8, pushed as a word); jmp near.
    private static void WriteEntries(byte[] image, ushort serve)
    {
        foreach (byte vector in s_served)
        {
            int entry = EntryOf(vector);
            image[entry] = 0x6A;
            image[entry + 1] = vector;
            image[entry + 2] = 0xE9;
            U16(image, entry + 3, (ushort)(serve - (entry + 5)));
        }
    }

    private static void WriteVectors(byte[] image, AssemblerResult result, FirmwareCode code)
    {
        ushort ignored = Offset(result, code.Ignored);
        for (int vector = 0; vector < 256; vector++)
        {
            SetVector(image, vector, ignored);
        }

        foreach (byte vector in s_served)
        {
            // Vector 0 is the divide error to everybody but our power-on code, which calls its entry itself.
            SetVector(image, vector, vector == FirmwareLayout.VectorPowerOn ? ignored : (ushort)EntryOf(vector));
        }

        foreach ((int vector, Label handler) in code.Handlers)
        {
            SetVector(image, vector, Offset(result, handler));
        }

        SetVector(image, 0x1E, FirmwareLayout.DisketteParameters);
        foreach (int vector in new[] { 0x1D, 0x1F, 0x41, 0x43, 0x46 })
        {
            image.AsSpan(FirmwareLayout.VectorTemplate + (vector * 4), 4).Clear(); // tables that we do not have
        }
    }

    private static void SetVector(byte[] image, int vector, ushort offset)
    {
        U16(image, FirmwareLayout.VectorTemplate + (vector * 4), offset);
        U16(image, FirmwareLayout.VectorTemplate + (vector * 4) + 2, FirmwareLayout.Segment);
    }

    // BIOS data area, offsets from 0040:0000.
    private static void WriteDataArea(Span<byte> data)
    {
        const ushort Equipment = 0x0222; // one serial port, 80 × 25 color, FPU
        BinaryPrimitives.WriteUInt16LittleEndian(data, 0x3F8); // COM1
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x0E..], FirmwareLayout.ExtendedDataSegment);
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x10..], Equipment);
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x13..], FirmwareLayout.ConventionalKibibytes);
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x1A..], 0x1E); // keyboard buffer: head, tail, start, end
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x1C..], 0x1E);
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x80..], 0x1E);
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x82..], 0x3E);
        data[0x49] = 3; // video mode
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x4A..], 80); // columns
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x4C..], 0x1000); // page bytes
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x60..], 0x0607); // cursor shape
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x63..], 0x3D4); // CRT controller
        data[0x84] = 24; // last row
        BinaryPrimitives.WriteUInt16LittleEndian(data[0x85..], 16); // character height
    }

    private static void WriteTables(byte[] image)
    {
        // Length 8, model FC (AT), submodel 0, revision 1; second PIC, RTC, EBDA.
        byte[] configuration = [8, 0, 0xFC, 0, 1, 0x74, 0, 0, 0, 0];
        configuration.CopyTo(image, FirmwareLayout.SystemConfiguration);

        // 1.44 MB diskette: some boot sectors copy the table before they look whether there is a drive.
        byte[] diskette = [0xAF, 0x02, 0x25, 0x02, 18, 0x1B, 0xFF, 0x6C, 0xF6, 0x0F, 0x08];
        diskette.CopyTo(image, FirmwareLayout.DisketteParameters);

        // Null and a flat data segment.
        U16(image, FirmwareLayout.GdtPointer, 15);
        BinaryPrimitives.WriteUInt32LittleEndian(
            image.AsSpan(FirmwareLayout.GdtPointer + 2), FirmwareLayout.ImageStart + FirmwareLayout.Gdt);
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(FirmwareLayout.Gdt + 8), 0x00CF_9300_0000_FFFF);
    }

    private static void WriteResetVector(byte[] image, ushort powerOn)
    {
        Span<byte> reset = image.AsSpan(FirmwareLayout.ResetVector);
        reset[0] = 0xEA; // far jump
        BinaryPrimitives.WriteUInt16LittleEndian(reset[1..], powerOn);
        BinaryPrimitives.WriteUInt16LittleEndian(reset[3..], FirmwareLayout.Segment);
        "11/21/26"u8.CopyTo(reset[5..]);
        reset[14] = 0xFC; // model: AT
    }

    private static int EntryOf(byte vector) => FirmwareLayout.Entries + (vector * FirmwareLayout.EntryBytes);

    private static void U16(byte[] image, int offset, ushort value)
        => BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(offset), value);
}
