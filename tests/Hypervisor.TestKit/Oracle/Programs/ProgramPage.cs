namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>A page of a program's address space.</summary>
/// <param name="Linear">Its address.</param>
/// <param name="Stored">Its number in the image.</param>
/// <param name="IsWritable">Whether user mode may write it.</param>
/// <param name="IsExecutable">Whether it may be executed.</param>
internal readonly record struct ProgramPage(ulong Linear, int Stored, bool IsWritable, bool IsExecutable);
