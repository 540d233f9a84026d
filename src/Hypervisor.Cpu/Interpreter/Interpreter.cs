using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Interpreter;

/// <summary>Runs decoded blocks: the reference that translated code is tested against.</summary>
internal sealed unsafe class Interpreter(Vcpu vcpu)
{
    private readonly Vcpu _vcpu = vcpu;
    private readonly CpuState* _state = vcpu.State;

    /// <summary>
    /// Instructions finished so far: what faults counts once it has run to its end, and so does a string instruction
    /// that was interrupted.
    /// </summary>
    internal ulong InstructionCount { get; private set; }

    /// <summary>Runs until an event. One poll per block is what bounds the time to a pause.</summary>
    internal void RunBlocks()
    {
        while (_state->Events == 0)
        {
            RunNext();
        }
    }

    /// <summary>Runs the block at CS:RIP (or the delivery of the fault that fetching it raises).</summary>
    internal void RunNext()
    {
        Block* block = Lookup(isSingle: false);
        if (block != null)
        {
            _ = RunBlock(block);
        }
    }

    /// <summary>Runs the first instruction of the block at CS:RIP.</summary>
    internal void RunFirst()
    {
        Block* block = Lookup(isSingle: false);
        if (block != null)
        {
            _ = RunOne(block->Operations);
        }
    }

    /// <summary>Runs <paramref name="op"/>, whose first byte is at RIP; a fault is delivered.</summary>
    internal Outcome RunOne(Operation* op)
    {
        ulong start = _state->Rip;
        _state->Rip = start + op->Length;
        Outcome outcome = op->Execute(_vcpu, op);
        if (outcome >= Outcome.Fault)
        {
            _state->Rip = start;
            if (outcome == Outcome.Fault)
            {
                _vcpu.Exceptions.DeliverFault();
            }

            return outcome;
        }

        InstructionCount++;
        return outcome;
    }

    /// <summary>Runs exactly one instruction (or the delivery of the fault it raises).</summary>
    internal Outcome StepOne()
    {
        Block* block = Lookup(isSingle: true);
        return block != null ? RunBlock(block) : Outcome.Fault;
    }

    private Outcome RunBlock(Block* block)
    {
        Operation* op = block->Operations;
        Operation* end = op + block->Count;
        Vcpu vcpu = _vcpu;
        CpuState* state = _state;
        ulong next = state->Rip;
        ulong start;
        Outcome outcome;
        do
        {
            start = next;
            next += op->Length;
            state->Rip = next;
            outcome = op->Execute(vcpu, op);
            op++;
        }
        while (outcome == Outcome.Next && op != end);

        InstructionCount += (ulong)(op - block->Operations);
        if (outcome >= Outcome.Fault)
        {
            InstructionCount--;
            state->Rip = start;
            if (outcome == Outcome.Fault)
            {
                _vcpu.Exceptions.DeliverFault();
            }
        }

        return outcome;
    }

    // The block at CS:RIP; null when the fetch faulted (and the fault was delivered).
    private Block* Lookup(bool isSingle)
    {
        ulong linear = _state->Rip;
        if (_state->CodeMode != 2)
        {
            ref readonly Segment code = ref _state->Segments[SegmentRegister.Cs];
            if (linear > code.Limit)
            {
                _vcpu.Raise(ExceptionVector.GeneralProtection, 0);
                _vcpu.Exceptions.DeliverFault();
                return null;
            }

            linear = (uint)(linear + code.Base);
        }

        byte* host = _vcpu.Mmu.TryFetch(linear, out bool isFault);
        Block* block = null;
        if (host != null)
        {
            block = isSingle
                ? _vcpu.Blocks.Single(host, _state->CodeMode)
                : _vcpu.Blocks.Find(host, _state->CodeMode);
        }
        else if (!isFault)
        {
            _vcpu.Raise(ExceptionVector.InvalidOpcode); // device memory holds no code: reads as FF FF
        }

        if (block == null)
        {
            _vcpu.Exceptions.DeliverFault();
        }

        return block;
    }
}
