namespace Hypervisor.Cpu.Decode;

/// <summary>What lowering an instruction depends on besides its bytes.</summary>
/// <param name="Vcpu">The vCPU that will run it: its features, its stub cache.</param>
/// <param name="CodeMode">0 in 16-bit, 1 in 32-bit, 2 in 64-bit code.</param>
internal readonly record struct LoweringContext(Vcpu Vcpu, uint CodeMode)
{
    /// <summary>Whether the code runs in 64-bit mode.</summary>
    internal bool Is64Bit => CodeMode == 2;
}
