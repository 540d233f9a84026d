using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;
using Hypervisor.Core.Memory;

namespace Hypervisor.Machine.Boot;

/// <summary>Loads a Linux bzImage and enters it at its 64-bit entry point, or the 32-bit one of a 32-bit kernel.</summary>
/// <remarks>
/// Spec: Linux Documentation/arch/x86/boot.rst and zero-page.rst. The setup header as used here (offsets in the file,
/// and in boot_params alike):
/// <code>
/// 1F1 setup_sects u8      206 version u16         224 heap_end_ptr u16     234 relocatable_kernel u8
/// 1F4 syssize u32         210 type_of_loader u8   228 cmd_line_ptr u32     236 xloadflags u16
/// 1FE boot_flag AA55      211 loadflags u8        22C initrd_addr_max u32  238 cmdline_size u32
/// 201 header length u8    214 code32_start u32    230 kernel_alignment u32 258 pref_address u64
/// 202 "HdrS"              218 ramdisk address, size u32                    260 init_size u32
/// </code>
/// </remarks>
internal static class LinuxBzImage
{
    private const int HeaderStart = 0x1F1;
    private const int HeadBytes = 0x268;
    private const int SectorBytes = 512;
    private const uint HeaderMagic = 0x5372_6448; // "HdrS"
    private const ushort VersionMin = 0x0206;      // first with cmdline_size
    private const ushort VersionLong = 0x020C;     // first with xloadflags
    private const byte LoadedHigh = 0x01;
    private const ushort Kernel64 = 0x01;          // xloadflags: entry at +200h is 64-bit
    private const ulong Entry64Offset = 0x200;
    private const ulong LoadAddress = BootLayout.OneMebibyte;

    // boot_params
    private const ulong RsdpAddress = 0x070;
    private const ulong E820Count = 0x1E8;
    private const ulong E820Table = 0x2D0;

    /// <summary>Whether <paramref name="head"/> (the file's first bytes) has the setup header's magic number.</summary>
    public static bool IsMatch(ReadOnlySpan<byte> head)
        => head.Length >= 0x208 && BinaryPrimitives.ReadUInt32LittleEndian(head[0x202..]) == HeaderMagic;

    /// <summary>Writes kernel, initrd, boot_params and command line to RAM.</summary>
    /// <exception cref="BootException">The file is no bzImage we can start, or RAM is too small.</exception>
    public static BootPlan Load(
        BootRam ram, BootFile kernel, BootFile? initrd, string commandLine, ulong rsdpGpa, IReadOnlyList<MemoryRange> map)
    {
        byte[] head = kernel.Head(HeadBytes);
        ushort version = CheckHeader(kernel, head);
        bool isLong = version >= VersionLong && (U16(head, 0x236) & Kernel64) != 0;
        int setupSectors = head[HeaderStart] == 0 ? 4 : head[HeaderStart];
        long imageOffset = (setupSectors + 1L) * SectorBytes;
        if (imageOffset >= kernel.LengthBytes)
        {
            throw kernel.Refused($"truncated bzImage: {kernel.LengthBytes} bytes, the kernel starts at {imageOffset}");
        }

        ulong imageBytes = (ulong)(kernel.LengthBytes - imageOffset);
        ulong declaredBytes = U32(head, 0x1F4) * 16UL;
        if (declaredBytes > imageBytes)
        {
            throw kernel.Refused($"truncated bzImage: the header promises {declaredBytes} bytes, {imageBytes} are there");
        }

        ulong runtimeEnd = CheckSpace(ram, kernel, head, version, imageBytes);
        ram.Load(kernel, imageOffset, LoadAddress, imageBytes);
        ram.Clear(BootLayout.Info, PageKernels.PageBytes, "boot_params");
        ram.Write(BootLayout.Info + HeaderStart, head.AsSpan(HeaderStart, HeaderEnd(head) - HeaderStart));
        ram.Write(BootLayout.Info + 0x210, [0xFF]); // type_of_loader: none of the registered ones
        ram.WriteU64(BootLayout.Info + RsdpAddress, rsdpGpa);
        WriteCommandLine(ram, kernel, commandLine, U32(head, 0x238));
        WriteMemoryMap(ram, map);
        if (initrd is not null)
        {
            LoadInitrd(ram, initrd, U32(head, 0x22C), runtimeEnd);
        }

        ram.WriteFlatTables(isLong);
        BootPlan plan = isLong ? BootPlan.Flat64(LoadAddress + Entry64Offset) : BootPlan.Flat32((uint)LoadAddress);
        return plan with { Rsi = BootLayout.Info };
    }

    private static ushort CheckHeader(BootFile kernel, byte[] head)
    {
        if (head.Length < HeadBytes || U16(head, 0x1FE) != 0xAA55)
        {
            throw kernel.Refused("no bzImage: boot flag AA55 is missing at 0x1FE");
        }

        ushort version = U16(head, 0x206);
        if (version < VersionMin)
        {
            throw kernel.Refused($"boot protocol {version >> 8}.{version & 0xFF:D2} is too old, 2.06 or newer is needed");
        }

        if ((head[0x211] & LoadedHigh) == 0)
        {
            throw kernel.Refused("a zImage that loads low, only bzImage is supported");
        }

        return version;
    }

    private static ulong CheckSpace(BootRam ram, BootFile kernel, byte[] head, ushort version, ulong imageBytes)
    {
        // The decompressor moves itself to the preferred address and needs init_size bytes there.
        ulong end = LoadAddress + imageBytes;
        if (version >= 0x020A)
        {
            ulong start = Math.Max(U64(head, 0x258), LoadAddress);
            ulong initBytes = U32(head, 0x260);
            if (start > uint.MaxValue)
            {
                throw kernel.Refused($"wants to run at 0x{start:X}, allowed are addresses below 4 GiB");
            }

            end = Math.Max(end, start + initBytes);
        }

        if (end > ram.LowEnd)
        {
            throw kernel.Refused($"needs RAM up to {Mebibytes(end)} MiB, the guest has {ram.LowEnd >> 20} MiB below 4 GiB");
        }

        return end;
    }

    private static void WriteCommandLine(BootRam ram, BootFile kernel, string commandLine, uint lengthMax)
    {
        int lengthBytes = Encoding.UTF8.GetByteCount(commandLine);
        ulong limit = Math.Min(lengthMax, BootLayout.StringsEnd - BootLayout.Strings - 1);
        if ((ulong)lengthBytes > limit)
        {
            throw kernel.Refused($"command line has {lengthBytes} bytes, this kernel takes at most {limit}");
        }

        ram.WriteString(BootLayout.Strings, commandLine);
        ram.WriteU32(BootLayout.Info + 0x228, (uint)BootLayout.Strings);
    }

    private static void WriteMemoryMap(BootRam ram, IReadOnlyList<MemoryRange> map)
    {
        ram.Write(BootLayout.Info + E820Count, [checked((byte)map.Count)]);
        ram.Write(BootLayout.Info + E820Table, MemoryMap.ToE820(map));
    }

    private static void LoadInitrd(BootRam ram, BootFile initrd, uint addressMax, ulong kernelEnd)
    {
        ulong lengthBytes = (ulong)initrd.LengthBytes;
        ulong limit = Math.Min(ram.LowEnd, addressMax + 1UL);
        if (limit < kernelEnd || lengthBytes > limit - kernelEnd)
        {
            throw initrd.Refused(
                $"{Mebibytes(lengthBytes)} MiB do not fit between the kernel's end at {Mebibytes(kernelEnd)} MiB and {limit >> 20} MiB");
        }

        ulong start = (limit - lengthBytes) & ~(PageKernels.PageBytes - 1UL);
        if (start < kernelEnd)
        {
            throw initrd.Refused($"{lengthBytes} bytes do not fit above the kernel's end at 0x{kernelEnd:X}");
        }

        ram.Load(initrd, 0, start, lengthBytes);
        ram.WriteU32(BootLayout.Info + 0x218, (uint)start);
        ram.WriteU32(BootLayout.Info + 0x21C, (uint)lengthBytes);
    }

    // Byte 201h is the operand of the jump at 200h, and so the header's length after 202h.
    private static int HeaderEnd(byte[] head) => Math.Min(0x202 + head[0x201], HeadBytes);

    private static ulong Mebibytes(ulong bytes) => (bytes + (1 << 20) - 1) >> 20;

    private static ushort U16(byte[] head, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(offset));

    private static uint U32(byte[] head, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(offset));

    private static ulong U64(byte[] head, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(head.AsSpan(offset));
}
