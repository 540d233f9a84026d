using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>Takes the vCPU through the IDT (or the real-mode vector table). Spec: SDM volume 3, chapter 6.</summary>
internal sealed unsafe class ExceptionDelivery(Vcpu vcpu)
{
    private const uint ExternalEvent = 1; // EXT in an error code
    private const uint IdtEntry = 2;      // IDT in an error code

    private readonly CpuState* _state = vcpu.State;
    private readonly InterruptEntry _entry = new(vcpu);

    /// <summary>Delivers the exception recorded in the state; RIP is at the faulting instruction.</summary>
    internal void DeliverFault()
        => Deliver(new InterruptEvent
        {
            Vector = (byte)_state->FaultVector,
            HasErrorCode = _state->FaultHasErrorCode != 0,
            ErrorCode = _state->FaultErrorCode,
            IsException = true,
            SetsResume = true,
        });

    /// <summary>Delivers #DB after an instruction, or before one that an instruction breakpoint stops.</summary>
    internal void DeliverDebug()
        => Deliver(new InterruptEvent { Vector = ExceptionVector.Debug, IsException = true });

    /// <summary>Delivers an external interrupt or NMI; RIP is at the next instruction.</summary>
    internal void DeliverInterrupt(byte vector, bool isRepeating)
        => Deliver(new InterruptEvent { Vector = vector, IsExternal = true, SetsResume = isRepeating });

    /// <summary>
    /// INT n, INT3, INTO: checks the gate's DPL; RIP is after the instruction. False: a fault is recorded.
    /// </summary>
    internal bool TryDeliverSoftware(byte vector)
        => TryOnce(new InterruptEvent { Vector = vector, IsSoftware = true }, out _);

    /// <summary>INT1: a trap without a check of DPL. Spec: SDM volume 2, INT n.</summary>
    internal bool TryDeliverIcebp()
    {
        if (TryOnce(new InterruptEvent { Vector = ExceptionVector.Debug, IsExternal = true }, out _))
        {
            return true;
        }

        MarkExternal();
        return false;
    }

    /// <summary>An access error code about the IDT entry of <paramref name="vector"/>.</summary>
    internal static uint IdtErrorCode(byte vector) => (vector * 8u) | IdtEntry;

    private void Deliver(InterruptEvent current)
    {
        while (!TryOnce(current, out _))
        {
            byte next = (byte)_state->FaultVector;
            if (current.IsException && current.Vector == ExceptionVector.DoubleFault)
            {
                vcpu.Events.ShutDown();
                return;
            }

            if (current.IsException && IsDouble(current.Vector, next))
            {
                vcpu.Raise(ExceptionVector.DoubleFault, 0);
            }
            else
            {
                MarkExternal();
            }

            current = new InterruptEvent
            {
                Vector = (byte)_state->FaultVector,
                HasErrorCode = _state->FaultHasErrorCode != 0,
                ErrorCode = _state->FaultErrorCode,
                IsException = true,
                SetsResume = true,
            };
        }
    }

    // Spec: SDM volume 3, tables 6-4 and 6-5.
    private static bool IsDouble(byte first, byte second)
        => (IsContributory(first) && IsContributory(second))
            || (first == ExceptionVector.PageFault
                && (second == ExceptionVector.PageFault || IsContributory(second)));

    private static bool IsContributory(byte vector)
        => vector is ExceptionVector.DivideError or ExceptionVector.InvalidTss or ExceptionVector.SegmentNotPresent
            or ExceptionVector.StackFault or ExceptionVector.GeneralProtection;

    // An error while an event from outside the program is delivered says so.
    private void MarkExternal()
    {
        if (_state->FaultHasErrorCode != 0
            && _state->FaultVector is not (ExceptionVector.PageFault or ExceptionVector.DoubleFault))
        {
            _state->FaultErrorCode |= ExternalEvent;
        }
    }

    private bool TryOnce(in InterruptEvent @event, out bool hasSwitchedTask)
    {
        SegmentUnit segments = vcpu.Segments;
        segments.Save(out TransferSnapshot snapshot);
        if (@event.IsException && @event.Vector == ExceptionVector.Debug)
        {
            _state->Dr[7] &= ~DebugRegisters.GeneralDetect; // the handler may use the debug registers
        }

        if (!_entry.TryEnter(@event, out hasSwitchedTask))
        {
            if (!hasSwitchedTask)
            {
                segments.Restore(snapshot);
            }

            return false;
        }

        segments.UpdateMode();
        vcpu.Events.OnDelivered();
        return true;
    }
}
