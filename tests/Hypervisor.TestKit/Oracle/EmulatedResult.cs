namespace Hypervisor.TestKit.Oracle;

/// <summary>How a case ended on the interpreter.</summary>
/// <param name="Vector">The exception, -1 for none, -2 for an instruction that never finished.</param>
/// <param name="ErrorCode">Its error code, 0 if it has none.</param>
/// <param name="Address">CR2, for a page fault.</param>
internal readonly record struct EmulatedResult(int Vector, uint ErrorCode, ulong Address);
