using System;

namespace Hypervisor.Cpu;

/// <summary>Overwrites all of <paramref name="target"/> with random bytes.</summary>
public delegate void FillRandom(Span<byte> target);
