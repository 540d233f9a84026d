namespace Hypervisor.Simulation;

/// <summary>SplitMix64: everything random in a run comes from one seed.</summary>
internal sealed class Prng(ulong seed)
{
    /// <summary>The whole state, so that a toy guest can keep it in its checkpoint.</summary>
    public ulong State { get; set; } = seed;

    public ulong Next()
    {
        ulong z = State += 0x9E37_79B9_7F4A_7C15;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }

    /// <summary>A number from <paramref name="low"/> up to, not including, <paramref name="high"/>.</summary>
    public int Next(int low, int high) => low + (int)(Next() % (ulong)(high - low));

    /// <summary>True once in <paramref name="count"/> times.</summary>
    public bool OneIn(int count) => Next() % (ulong)count == 0;

    /// <summary>A duration between two numbers of microseconds, in nanoseconds.</summary>
    public long Micros(int low, int high) => Next(low, high) * 1000L;
}
