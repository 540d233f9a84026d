using System;
using Hypervisor.Cpu.State;
using static Hypervisor.TestKit.Oracle.OracleLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Moves the registers of an emulated CPU from and to a part of a record.</summary>
internal static unsafe class StateRecord
{
    /// <summary>General registers, x87, MXCSR and vectors; flags and RIP are left to the caller.</summary>
    internal static void Load(CpuState* state, byte* part)
    {
        byte* area = part + Extended;
        new ReadOnlySpan<byte>(part, 128).CopyTo(new Span<byte>(state->Gpr, 128));
        new ReadOnlySpan<byte>(area, 160).CopyTo(new Span<byte>(state->Fpu, 160));
        state->Mxcsr = *(uint*)(area + 24);
        for (int i = 0; i < 16; i++)
        {
            byte* vector = state->Vectors + (64 * i);
            new ReadOnlySpan<byte>(area + 160 + (16 * i), 16).CopyTo(new Span<byte>(vector, 16));
            new ReadOnlySpan<byte>(area + 576 + (16 * i), 16).CopyTo(new Span<byte>(vector + 16, 16));
            new Span<byte>(vector + 32, 32).Clear();
        }

        WideRegisters.Load(state, part);
    }

    /// <summary>The same registers, the other way.</summary>
    internal static void Store(CpuState* state, byte* part)
    {
        byte* area = part + Extended;
        new ReadOnlySpan<byte>(state->Gpr, 128).CopyTo(new Span<byte>(part, 128));
        new ReadOnlySpan<byte>(state->Fpu, 160).CopyTo(new Span<byte>(area, 160));
        *(uint*)(area + 24) = state->Mxcsr;
        *(ulong*)(area + 512) = 7;
        for (int i = 0; i < 16; i++)
        {
            byte* vector = state->Vectors + (64 * i);
            new ReadOnlySpan<byte>(vector, 16).CopyTo(new Span<byte>(area + 160 + (16 * i), 16));
            new ReadOnlySpan<byte>(vector + 16, 16).CopyTo(new Span<byte>(area + 576 + (16 * i), 16));
        }

        WideRegisters.Store(state, part);
    }
}
