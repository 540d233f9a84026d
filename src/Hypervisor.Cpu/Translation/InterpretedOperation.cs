using System.Runtime.InteropServices;
using Hypervisor.Cpu.Decode;

namespace Hypervisor.Cpu.Translation;

/// <summary>An instruction inside translated code that its semantic function runs.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct InterpretedOperation
{
    /// <summary>The instruction.</summary>
    internal Operation Operation;

    /// <summary>Where its block goes on; null when it ends the block.</summary>
    internal byte* Continuation;

    /// <summary>Whether it wants the x87 registers in the state.</summary>
    internal bool UsesFpu;
}
