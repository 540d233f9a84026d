using System;
using System.Buffers.Binary;
using System.IO;
using Hypervisor.TestKit.Oracle;
using Hypervisor.TestKit.Oracle.Programs;
using Iced.Intel;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>A program of user mode that a test writes, run to its first exception.</summary>
internal static unsafe class HandWrittenProgram
{
    /// <summary>Assembles code into the image of a program.</summary>
    internal static void Put(byte[] image, ulong address, Action<Assembler> write, int bits = 64)
    {
        var assembler = new Assembler(bits);
        write(assembler);
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), address);
        code.ToArray().CopyTo(image.AsSpan(ProgramLayout.ImageOffset(address)));
    }

    /// <summary>Runs it from <see cref="ProgramLayout.CodeAddress"/>; gives the vector that ended it.</summary>
    internal static int Run(string engine, byte[] image) => Run(engine, image, new byte[OracleLayout.OutputAt]).Vector;

    /// <summary>The same; the registers at its end go to <paramref name="after"/>, memory to the image.</summary>
    internal static EmulatedResult Run(string engine, byte[] image, byte[] after)
        => Run(engine, ProgramKind.Long, image, new byte[OracleLayout.OutputAt], after);

    /// <summary>As above; the rest of the state is in <paramref name="before"/>.</summary>
    internal static EmulatedResult Run(string engine, ProgramKind kind, byte[] image, byte[] before, byte[] after)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(before.AsSpan(4 * 8), ProgramLayout.StackTop - 64);
        BinaryPrimitives.WriteUInt64LittleEndian(before.AsSpan(5 * 8), 7);
        BinaryPrimitives.WriteUInt64LittleEndian(before.AsSpan(OracleLayout.Rip), ProgramLayout.CodeAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(before.AsSpan(OracleLayout.Flags), 2);
        BinaryPrimitives.WriteUInt16LittleEndian(before.AsSpan(OracleLayout.Extended), 0x37F);
        BinaryPrimitives.WriteUInt32LittleEndian(before.AsSpan(OracleLayout.Extended + 24), 0x1F80);
        using var cpu = new EmulatedProgramCpu(ProgramEngine.Find(engine)!);
        fixed (byte* from = before)
        fixed (byte* to = after)
        {
            EmulatedResult result = cpu.Run(new ProgramMode(kind, new Random(0)), image, from, to);
            cpu.Image.CopyTo(image);
            return result;
        }
    }
}
