using Hypervisor.Cpu.Decode;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Every instruction this CPU implements, by mnemonic. What is not here raises #UD.</summary>
/// <remarks>
/// A row says how an instruction becomes an <see cref="Operation"/>: its lowering function looks at the decoded
/// operands and picks the semantic function. Rows live beside their functions in Instructions/{Group}.cs.
/// </remarks>
internal static unsafe class InstructionTable
{
    private static readonly InstructionRow[] s_rows = Build();

    /// <summary>The row for <paramref name="mnemonic"/>; its Lower is null when there is none.</summary>
    internal static ref readonly InstructionRow Find(Mnemonic mnemonic) => ref s_rows[(int)mnemonic];

    /// <summary>The row for the encoding <paramref name="code"/>.</summary>
    internal static ref readonly InstructionRow Find(Code code)
        => ref WideTable.Has(code) ? ref WideTable.Find(code) : ref s_rows[(int)code.Mnemonic()];

    /// <summary>Whether it has a LOCK prefix that it may not have: #UD.</summary>
    internal static bool HasBadLock(in Instruction instruction)
        => instruction.HasLockPrefix
            && ((Find(instruction.Code).Traits & InstructionTraits.Lockable) == 0
                || instruction.Op0Kind != OpKind.Memory);

    private static InstructionRow[] Build()
    {
        var table = new TableBuilder();
        Arithmetic.Define(table);
        FpuArithmetic.Define(table);
        FpuControl.Define(table);
        FpuEnvironment.Define(table);
        Fxsave.Define(table);
        HostAvx.Define(table);
        HostGather.Define(table);
        HostHints.Define(table);
        HostInteger.Define(table);
        HostMasked.Define(table);
        HostMoves.Define(table);
        HostSse.Define(table);
        Xrstor.Define(table);
        Xsave.Define(table);
        UnaryForms.Define(table);
        Shifts.Define(table);
        MonitorWait.Define(table);
        Moves.Define(table);
        Multiplication.Define(table);
        BitTests.Define(table);
        Exchanges.Define(table);
        Strings.Define(table);
        Stack.Define(table);
        ControlFlow.Define(table);
        FlagOperations.Define(table);
        Decimal.Define(table);
        FarControl.Define(table);
        FlagsRegister.Define(table);
        PortIo.Define(table);
        SegmentLoads.Define(table);
        SystemCalls.Define(table);
        SystemControl.Define(table);
        SystemInformation.Define(table);
        SystemTables.Define(table);
        return table.ToArray();
    }
}
