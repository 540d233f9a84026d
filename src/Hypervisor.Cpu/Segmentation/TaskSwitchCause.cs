namespace Hypervisor.Cpu.Segmentation;

/// <summary>What asks for a task switch. Spec: SDM volume 3, 7.3.</summary>
internal enum TaskSwitchCause
{
    /// <summary>Far JMP: the old task ends.</summary>
    Jump,

    /// <summary>Far CALL: the new task is nested.</summary>
    Call,

    /// <summary>Task gate in the IDT: the new task is nested.</summary>
    Interrupt,

    /// <summary>IRET with NT: back to the task in the back link.</summary>
    Return,
}
