using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.Translation;

/// <summary>What generated code reads and writes of a direct jump to another page.</summary>
/// <remarks>
/// Such a jump goes straight to its target while nothing that is known about jump targets has been forgotten since it
/// was last looked up, and its own page is where it was then: the target's page may be another otherwise. Then it is
/// looked up in the <see cref="JumpCache"/>, and when that says what the jump knows already, it is good again.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct FarLink
{
    /// <summary>How many there may be.</summary>
    internal const int CountMax = 1 << 18;

    /// <summary>Size of one.</summary>
    internal const int Bytes = 2 * sizeof(ulong);

    /// <summary>Distance of <see cref="Target"/> from <see cref="Epoch"/>.</summary>
    internal const int TargetAt = sizeof(ulong);

    /// <summary>
    /// The epoch of its mode when it was last looked up, minus the linear address of its page; 0, which none is: never.
    /// </summary>
    internal ulong Epoch;

    /// <summary>1 minus the entry for indirect jumps of the block that it goes to.</summary>
    internal ulong Target;
}
