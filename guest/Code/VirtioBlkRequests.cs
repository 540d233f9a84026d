using System;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest.Code;

/// <summary>Writes a step's record to every disk and flushes it; waits in HLT until the device interrupts.</summary>
/// <remarks>Spec: VIRTIO 1.2, sections 2.7 and 5.2.6.</remarks>
internal sealed class VirtioBlkRequests
{
    private const int WriteHead = 0;
    private const int FlushHead = 3;

    private readonly Assembler _c;
    private readonly GuestRoutines _routines;
    private Label _record;
    private Label _submit;
    private Label _wait;

    /// <summary>Creates the labels; <see cref="Emit"/> writes the code.</summary>
    public VirtioBlkRequests(Assembler c, GuestRoutines routines)
    {
        _c = c;
        _routines = routines;
        _record = c.CreateLabel();
        _submit = c.CreateLabel();
        _wait = c.CreateLabel();
    }

    /// <summary>All disks write at the same time, then all flush. Changes all registers but R15.</summary>
    public void WriteStep()
    {
        ForEachDisk(() =>
        {
            _c.call(_record);
            _c.mov(__byte_ptr[r12 + DiskBlock.WriteStatus], unchecked((sbyte)0xFF));
            _c.mov(eax, WriteHead);
            _c.call(_submit);
        });
        ForEachDisk(() => Await(DiskBlock.WriteStatus));
        ForEachDisk(() => OnlyWithFlush(() =>
        {
            _c.mov(__byte_ptr[r12 + DiskBlock.FlushStatus], unchecked((sbyte)0xFF));
            _c.mov(eax, FlushHead);
            _c.call(_submit);
        }));
        ForEachDisk(() => OnlyWithFlush(() => Await(DiskBlock.FlushStatus)));
    }

    /// <summary>Writes the subroutines.</summary>
    public void Emit()
    {
        EmitRecord();
        EmitSubmit();
        EmitWait();
    }

    private void ForEachDisk(Action body)
    {
        Label next = _c.CreateLabel();
        Label test = _c.CreateLabel();
        _c.mov(r14, __qword_ptr[GuestMemory.DiskCount]);
        _c.mov(r12d, GuestMemory.Disks);
        _c.jmp(test);
        _c.Label(ref next);
        body();
        _c.add(r12, (int)GuestMemory.DiskBytes);
        _c.dec(r14);
        _c.Label(ref test);
        _c.test(r14, r14);
        _c.jnz(next);
    }

    private void OnlyWithFlush(Action body)
    {
        Label skip = _c.CreateLabel();
        _c.cmp(__qword_ptr[r12 + DiskBlock.HasFlush], 0);
        _c.je(skip);
        body();
        _c.Label(ref skip);
        _c.nop();
    }

    private void Await(int statusOffset)
    {
        Label good = _c.CreateLabel();
        _c.call(_wait);
        _c.movzx(eax, __byte_ptr[r12 + statusOffset]);
        _c.test(eax, eax);
        _c.jz(good);
        _routines.Print("DISK ERROR ");
        _routines.PrintNumber();
        _routines.Print("\n");
        _routines.End(3);
        _c.Label(ref good);
        _c.nop();
    }

    // See StepRecord for the layout.
    private void EmitRecord()
    {
        Label fill = _c.CreateLabel();
        Label hash = _c.CreateLabel();
        _c.Label(ref _record);
        _c.lea(rdi, __[r12 + DiskBlock.Record]);
        _c.mov(rcx, __qword_ptr[GuestMemory.Step]);
        _c.lea(rax, __[rcx - 1]);
        _c.xor(edx, edx);
        _c.div(__qword_ptr[r12 + DiskBlock.Slots]); // RDX: slot
        _c.mov(rax, StepRecord.Magic);
        _c.mov(__qword_ptr[rdi], rax);
        _c.mov(__qword_ptr[rdi + 0x08], rcx);
        _c.mov(eax, __dword_ptr[r12 + DiskBlock.Index]);
        _c.mov(__dword_ptr[rdi + 0x10], eax);
        _c.mov(__dword_ptr[rdi + 0x14], StepRecord.Version);
        _c.mov(__qword_ptr[rdi + 0x18], rdx);
        _c.mov(__qword_ptr[r12 + DiskBlock.WriteHeader + 8], rdx); // sector

        _c.mov(rax, StepRecord.Multiplier);
        _c.imul(rax, rcx);
        _c.add(rax, StepRecord.FillStart / 8);
        _c.mov(ecx, StepRecord.FillStart);
        _c.Label(ref fill);
        _c.mov(__qword_ptr[rdi + rcx], rax);
        _c.inc(rax);
        _c.add(ecx, 8);
        _c.cmp(ecx, StepRecord.ChecksumOffset);
        _c.jb(fill);

        _c.mov(rax, StepRecord.HashStart);
        _c.mov(rdx, StepRecord.HashPrime);
        _c.xor(ecx, ecx);
        _c.Label(ref hash);
        _c.xor(rax, __qword_ptr[rdi + rcx]);
        _c.imul(rax, rdx);
        _c.add(ecx, 8);
        _c.cmp(ecx, StepRecord.ChecksumOffset);
        _c.jb(hash);
        _c.mov(__qword_ptr[rdi + rcx], rax);
        _c.ret();
    }

    // EAX: head descriptor.
    private void EmitSubmit()
    {
        _c.Label(ref _submit);
        _c.movzx(ecx, __word_ptr[r12 + DiskBlock.Available + 2]);
        _c.mov(edx, ecx);
        _c.and(edx, DiskBlock.QueueSize - 1);
        _c.mov(__word_ptr[r12 + (rdx * 2) + DiskBlock.Available + 4], ax);
        _c.inc(ecx);
        _c.mov(__word_ptr[r12 + DiskBlock.Available + 2], cx);
        _c.mfence(); // the index before the doorbell
        _c.mov(rdi, __qword_ptr[r12 + DiskBlock.Notify]);
        _c.mov(__word_ptr[rdi], 0); // queue 0
        _c.ret();
    }

    private void EmitWait()
    {
        Label done = _c.CreateLabel();
        _c.Label(ref _wait);
        _c.cli();
        _c.mov(ax, __word_ptr[r12 + DiskBlock.Used + 2]);
        _c.cmp(ax, __word_ptr[r12 + DiskBlock.UsedSeen]);
        _c.jne(done);
        _c.sti(); // takes effect after HLT: no interrupt is lost between the two
        _c.hlt();
        _c.jmp(_wait);
        _c.Label(ref done);
        _c.sti();
        _c.inc(__word_ptr[r12 + DiskBlock.UsedSeen]);
        _c.ret();
    }
}
