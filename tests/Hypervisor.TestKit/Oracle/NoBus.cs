using Hypervisor.Cpu;

namespace Hypervisor.TestKit.Oracle;

/// <summary>A bus with nothing on it.</summary>
internal sealed class NoBus : IBus
{
    /// <inheritdoc/>
    public ulong ReadMmio(ulong gpa, int sizeBytes) => ulong.MaxValue;

    /// <inheritdoc/>
    public void WriteMmio(ulong gpa, int sizeBytes, ulong value)
    {
    }

    /// <inheritdoc/>
    public uint ReadPort(ushort port, int sizeBytes) => uint.MaxValue;

    /// <inheritdoc/>
    public void WritePort(ushort port, int sizeBytes, uint value)
    {
    }

    /// <inheritdoc/>
    public void Synchronize()
    {
    }
}
