using System;
using System.Buffers.Binary;
using Hypervisor.Core.Memory;
using Hypervisor.Guest;
using Hypervisor.Machine.Boot;

namespace Hypervisor.Tests.Boot;

/// <summary>Small kernels made for the loaders' tests.</summary>
internal static class KernelImages
{
    public const int SetupSectors = 4;
    public const int PayloadOffset = (SetupSectors + 1) * 512;

    /// <summary>A 64-bit bzImage of protocol 2.15 with a payload of 4 KiB of 0xAB.</summary>
    public static byte[] BzImage()
    {
        byte[] image = new byte[PayloadOffset + 4096];
        image[0x1F1] = SetupSectors;
        U32(image, 0x1F4, 4096 / 16);
        image[0x1FE] = 0x55;
        image[0x1FF] = 0xAA;
        image[0x201] = 0x66;
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        U16(image, 0x206, 0x020F);
        image[0x211] = 1;
        U32(image, 0x214, 0x10_0000);
        U32(image, 0x22C, 0x7FFF_FFFF);
        U16(image, 0x236, 1);
        U32(image, 0x238, 2047);
        U32(image, 0x258, 0x100_0000);
        U32(image, 0x260, 0x20_0000);
        image.AsSpan(PayloadOffset).Fill(0xAB);
        return image;
    }

    /// <summary>A flat multiboot image, header first, that loads to 1 MiB.</summary>
    public static byte[] Multiboot()
    {
        byte[] image = new byte[0x1000];
        const uint Flags = 1 << 16;
        U32(image, 0, 0x1BAD_B002);
        U32(image, 4, Flags);
        U32(image, 8, unchecked(0u - 0x1BAD_B002 - Flags));
        U32(image, 12, 0x10_0000);
        U32(image, 16, 0x10_0000);
        U32(image, 20, 0x10_1000);
        U32(image, 24, 0x10_2000);
        U32(image, 28, 0x10_0020);
        image.AsSpan(0x20).Fill(0xCD);
        return image;
    }

    /// <summary>An ELF with a PVH note: the counting guest.</summary>
    public static byte[] Pvh() => CountingGuest.Build();

    public static BootPlan Load(GuestRam ram, byte[] kernel, string commandLine = "", byte[]? initrd = null)
        => BootLoader.Load(ram, new BootRequest
        {
            Kernel = BootFile.FromBytes("kernel", "test", kernel),
            Initrd = initrd is null ? null : BootFile.FromBytes("initrd", "test", initrd),
            CommandLine = commandLine,
        });

    public static byte[] Read(GuestRam ram, ulong gpa, int count)
    {
        byte[] bytes = new byte[count];
        ram.TryRead(gpa, bytes);
        return bytes;
    }

    public static uint ReadU32(GuestRam ram, ulong gpa)
    {
        ram.TryReadU32(gpa, out uint value);
        return value;
    }

    public static void U16(byte[] image, int offset, ushort value)
        => BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(offset), value);

    public static void U32(byte[] image, int offset, uint value)
        => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(offset), value);
}
