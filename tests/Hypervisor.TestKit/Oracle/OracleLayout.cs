using Hypervisor.Cpu.Identification;

namespace Hypervisor.TestKit.Oracle;

/// <summary>Addresses and offsets that the test, the native program and the emulated CPU agree on.</summary>
/// <remarks>
/// The shared file, mapped whole at <see cref="ControlAddress"/> in the native program:
/// <code>
/// 00000  control words          10000  code slots, also mapped executable at CodeAddress
/// 20000  four sandbox pages     40000  case records
/// </code>
/// The sandbox, the same linear addresses on both sides: page 0 absent, 1 and 2 writable, 3 absent, 4 writable, 5
/// read-only,
/// 6 absent. A slot holds the instruction, a jump to the exit, and at <see cref="SecondExit"/> another one, where
/// branches go.
/// </remarks>
internal static class OracleLayout
{
    internal const ulong ProgramAddress = 0x40_0000;
    internal const ulong ControlAddress = 0x1000_0000;
    internal const ulong CodeAddress = 0x2000_0000;
    internal const ulong SandboxAddress = 0x3000_0000;
    internal const ulong AlternateStack = 0x1100_0000;
    internal const int AlternateStackBytes = 0x1_0000;

    internal const int CodeAt = 0x1_0000;
    internal const int SandboxAt = 0x2_0000;
    internal const int CasesAt = 0x4_0000;
    internal const int BatchCases = 512;
    internal const int SlotBytes = 64;
    internal const int SecondExit = 40;
    internal const int FileBytes = CasesAt + (BatchCases * CaseBytes) + 0x1000;

    internal const int PageBytes = 4096;
    internal const int SandboxPages = 7;
    internal const int StoredPages = 4;

    internal const ulong FsBase = 0x7_0010;
    internal const ulong GsBase = 0x1_2340;

    // Control words.
    internal const int First = 0x00;
    internal const int Count = 0x04;
    internal const int Current = 0x10;
    internal const int Remaining = 0x18;
    internal const int CodePointer = 0x20;
    internal const int FirstExitPointer = 0x28;
    internal const int SecondExitPointer = 0x30;
    internal const int MainStack = 0x38;
    internal const int SavedRax = 0x40;
    internal const int SavedRbx = 0x48;
    internal const int Marker = 0x50;
    internal const int SignalStack = 0x80;
    internal const int SignalAction = 0xC0;
    internal const int Timer = 0x100;

    // A case record: what goes in, then what comes out.
    internal const int CaseBytes = 2 * OutputAt;
    internal const int InputAt = 0;
    internal const int OutputAt = 3136;

    // Parts of either.
    internal const int Flags = 128;
    internal const int Rip = 136;
    internal const int Trap = 144;
    internal const int Error = 152;
    internal const int FaultAddress = 160;
    internal const int Extended = 192; // XSAVE area, standard format
    internal const int ExtendedBytes = 832;
    internal const int Masks = 1024; // k0 to k7, where the host has AVX-512
    internal const int Vectors = 1088; // ZMM0 to ZMM31, likewise

    /// <summary>Whether the host has AVX-512, and so the guest's CPU.</summary>
    internal static bool HasWide => CpuModel.Largest.Features.Has(CpuFeature.Avx512F);

    /// <summary>Which stored page is behind a page of the sandbox; -1: absent.</summary>
    internal static int StoredPage(int page) => page switch
    {
        1 => 0,
        2 => 1,
        4 => 2,
        5 => 3,
        _ => -1,
    };

    /// <summary>Whether an access near the address may hit what the native program has there for itself.</summary>
    internal static bool IsNativeOnly(ulong address)
    {
        const ulong Near = 0x1_0000;
        const ulong ControlEnd = AlternateStack + AlternateStackBytes;
        return address - (ProgramAddress - Near) < 3 * Near
            || address - (ControlAddress - Near) < ControlEnd - ControlAddress + (2 * Near);
    }

    /// <summary>Whether a page of the sandbox may be written.</summary>
    internal static bool IsWritable(int page) => page != 5;
}
