namespace Hypervisor.Cpu;

/// <summary>Generated code that is there now.</summary>
/// <param name="Address">Host address that it runs at.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Name">What it is: where the guest's code is and in which mode, or a fixed piece of the engine.</param>
public readonly record struct CodeArea(ulong Address, long Bytes, string Name);
