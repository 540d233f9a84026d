using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Instructions;

/// <summary>A condition of Jcc as a type, so that each jump compiles to its own test.</summary>
internal unsafe interface ICondition
{
    /// <summary>Whether it holds.</summary>
    static abstract bool Holds(CpuState* state);
}

/// <summary>The eight even conditions; the odd ones are their negations.</summary>
internal static unsafe class Conditions
{
    internal readonly struct IfOverflow : ICondition
    {
        public static bool Holds(CpuState* state) => ArithmeticFlags.Overflow(state);
    }

    internal readonly struct IfBelow : ICondition
    {
        public static bool Holds(CpuState* state) => ArithmeticFlags.Carry(state);
    }

    internal readonly struct IfZero : ICondition
    {
        public static bool Holds(CpuState* state) => ArithmeticFlags.Zero(state);
    }

    internal readonly struct IfBelowOrEqual : ICondition
    {
        public static bool Holds(CpuState* state) => ArithmeticFlags.Carry(state) || ArithmeticFlags.Zero(state);
    }

    internal readonly struct IfSign : ICondition
    {
        public static bool Holds(CpuState* state) => ArithmeticFlags.Sign(state);
    }

    internal readonly struct IfParity : ICondition
    {
        public static bool Holds(CpuState* state) => ArithmeticFlags.Parity(state);
    }

    internal readonly struct IfLess : ICondition
    {
        public static bool Holds(CpuState* state) => ArithmeticFlags.Sign(state) != ArithmeticFlags.Overflow(state);
    }

    internal readonly struct IfLessOrEqual : ICondition
    {
        public static bool Holds(CpuState* state)
            => ArithmeticFlags.Zero(state) || ArithmeticFlags.Sign(state) != ArithmeticFlags.Overflow(state);
    }

    internal readonly struct Not<T> : ICondition
        where T : struct, ICondition
    {
        public static bool Holds(CpuState* state) => !T.Holds(state);
    }
}
