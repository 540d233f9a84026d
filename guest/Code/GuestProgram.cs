using System;
using System.IO;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest.Code;

/// <summary>Puts 64-bit code behind the long-mode entry and wraps both into an ELF file.</summary>
internal static class GuestProgram
{
    private const int CodeBytesMax = (int)(GuestMemory.StartInfo - GuestMemory.LongEntry);

    /// <summary>Assembles what <paramref name="emit"/> writes; it starts with the data segments and the stack set.</summary>
    public static byte[] Build(Action<Assembler> emit)
    {
        var c = new Assembler(64);
        c.mov(eax, 0x10);
        c.mov(ds, eax);
        c.mov(es, eax);
        c.mov(ss, eax);
        c.mov(esp, GuestMemory.StackTop);
        emit(c);

        using var code = new MemoryStream();
        code.Write(LongModeEntry.Assemble());
        c.Assemble(new StreamCodeWriter(code), GuestMemory.LongEntry);
        return code.Length <= CodeBytesMax
            ? PvhImage.Wrap(code.ToArray(), GuestMemory.Entry, GuestMemory.ImageBytes)
            : throw new InvalidDataException($"the guest has {code.Length} bytes of code, allowed are {CodeBytesMax}");
    }
}
