using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest.Code;

/// <summary>Finds virtio-blk functions on PCI bus 0 and brings each one up with a queue and an MSI-X vector.</summary>
/// <remarks>Spec: VIRTIO 1.2, sections 3.1.1 and 4.1; PCI 3.0, section 6.8.2 (MSI-X).</remarks>
internal sealed class VirtioBlkSetup
{
    private const uint ModernId = 0x1042_1AF4;
    private const uint TransitionalId = 0x1001_1AF4; // QEMU's default; has the modern structures too
    private const uint ConfigEnable = 0x8000_0000;
    private const int SlotStep = 1 << 11;
    private const int SlotsEnd = 32 * SlotStep;
    private const byte VendorCapability = 0x09;
    private const byte MsixCapability = 0x11;
    private const uint LocalApic = 0xFEE0_0000;

    // Common configuration. Spec: VIRTIO 1.2, section 4.1.4.3.
    private const int DeviceFeatureSelect = 0x00;
    private const int DeviceFeature = 0x04;
    private const int DriverFeatureSelect = 0x08;
    private const int DriverFeature = 0x0C;
    private const int ConfigVector = 0x10;
    private const int Status = 0x14;
    private const int QueueSelect = 0x16;
    private const int QueueSizeRegister = 0x18;
    private const int QueueVector = 0x1A;
    private const int QueueEnable = 0x1C;
    private const int QueueNotifyOffset = 0x1E;
    private const int QueueAddresses = 0x20;
    private const int FeatureFlush = 1 << 9;
    private const int Acknowledge = 1;
    private const int Driver = 2;
    private const int FeaturesOk = 8;
    private const int DriverOk = 4;

    private readonly Assembler _c;
    private readonly GuestRoutines _routines;
    private Label _scan;
    private Label _read;
    private Label _write;
    private Label _barAddress;
    private Label _capabilities;
    private Label _initialize;
    private Label _fail;

    /// <summary>Creates the labels; <see cref="Emit"/> writes the code.</summary>
    public VirtioBlkSetup(Assembler c, GuestRoutines routines)
    {
        _c = c;
        _routines = routines;
        _scan = c.CreateLabel();
        _read = c.CreateLabel();
        _write = c.CreateLabel();
        _barAddress = c.CreateLabel();
        _capabilities = c.CreateLabel();
        _initialize = c.CreateLabel();
        _fail = c.CreateLabel();
    }

    /// <summary>Sets up all disks; their number is in <see cref="GuestMemory.DiskCount"/>. Changes all registers but R15.</summary>
    public void FindDisks() => _c.call(_scan);

    /// <summary>Writes the subroutines.</summary>
    public void Emit()
    {
        EmitScan();
        EmitConfigAccess();
        EmitBarAddress();
        EmitCapabilities();
        EmitInitialize();
        _c.Label(ref _fail);
        _routines.Print("DISK NOT USABLE\n");
        _routines.End(3);
    }

    // EBX: CF8 address of the slot, R12: block of the next disk.
    private void EmitScan()
    {
        Label slot = _c.CreateLabel();
        Label found = _c.CreateLabel();
        Label next = _c.CreateLabel();
        Label done = _c.CreateLabel();
        _c.Label(ref _scan);
        _c.mov(ebx, ConfigEnable);
        _c.mov(r12d, GuestMemory.Disks);
        _c.Label(ref slot);
        _c.xor(ecx, ecx);
        _c.call(_read);
        _c.cmp(eax, unchecked((int)ModernId));
        _c.je(found);
        _c.cmp(eax, unchecked((int)TransitionalId));
        _c.jne(next);
        _c.Label(ref found);
        _c.mov(rax, __qword_ptr[GuestMemory.DiskCount]);
        _c.cmp(rax, GuestMemory.DisksMax);
        _c.je(done);
        _c.mov(__qword_ptr[r12 + DiskBlock.Index], rax);
        _c.call(_capabilities);
        _c.call(_initialize);
        _c.inc(__qword_ptr[GuestMemory.DiskCount]);
        _c.add(r12, (int)GuestMemory.DiskBytes);
        _c.Label(ref next);
        _c.add(ebx, SlotStep);
        _c.cmp(ebx, unchecked((int)(ConfigEnable + SlotsEnd)));
        _c.jne(slot);
        _c.Label(ref done);
        _c.ret();
    }

    // EBX: slot, ECX: register; EAX: value. Changes RDX.
    private void EmitConfigAccess()
    {
        _c.Label(ref _read);
        _c.lea(eax, __[rbx + rcx]);
        _c.mov(edx, 0xCF8);
        _c.@out(dx, eax);
        _c.mov(edx, 0xCFC);
        _c.@in(eax, dx);
        _c.ret();

        _c.Label(ref _write);
        _c.push(rax);
        _c.lea(eax, __[rbx + rcx]);
        _c.mov(edx, 0xCF8);
        _c.@out(dx, eax);
        _c.pop(rax);
        _c.mov(edx, 0xCFC);
        _c.@out(dx, eax);
        _c.ret();
    }

    // EAX: BAR number; RAX: its address. Only addresses below 4 GiB are mapped.
    private void EmitBarAddress()
    {
        Label is32 = _c.CreateLabel();
        _c.Label(ref _barAddress);
        _c.push(rcx);
        _c.lea(ecx, __[(rax * 4) + 0x10]);
        _c.call(_read);
        _c.test(al, 4); // 64-bit
        _c.jz(is32);
        _c.push(rax);
        _c.add(ecx, 4);
        _c.call(_read);
        _c.test(eax, eax);
        _c.pop(rax);
        _c.jnz(_fail);
        _c.Label(ref is32);
        _c.and(eax, -16);
        _c.pop(rcx);
        _c.ret();
    }

    // Walks the capability list: ECX at a capability, EBP its first dword.
    private void EmitCapabilities()
    {
        Label next = _c.CreateLabel();
        Label step = _c.CreateLabel();
        Label msix = _c.CreateLabel();
        Label noMultiplier = _c.CreateLabel();
        Label done = _c.CreateLabel();
        _c.Label(ref _capabilities);
        _c.mov(ecx, 4); // command: memory space, bus master; the status half is write-1-to-clear
        _c.call(_read);
        _c.movzx(eax, ax);
        _c.or(eax, 6);
        _c.call(_write);
        _c.mov(ecx, 0x34);
        _c.call(_read);
        _c.movzx(ecx, al);

        _c.Label(ref next);
        _c.and(ecx, 0xFC);
        _c.jz(done);
        _c.call(_read);
        _c.mov(ebp, eax);
        _c.cmp(al, (sbyte)MsixCapability);
        _c.je(msix);
        _c.cmp(al, (sbyte)VendorCapability);
        _c.jne(step);
        _c.shr(eax, 24);
        _c.mov(r8d, eax); // cfg_type
        _c.dec(eax);
        _c.cmp(eax, 4);
        _c.jae(step); // not one of common, notify, ISR, device
        StructureAddress(offsetRegister: 8, barRegister: 4);
        _c.mov(__qword_ptr[r12 + (r8 * 8) + DiskBlock.Structures], rax);
        _c.cmp(r8d, 2);
        _c.jne(noMultiplier);
        _c.add(ecx, 16);
        _c.call(_read);
        _c.sub(ecx, 16);
        _c.mov(__qword_ptr[r12 + DiskBlock.NotifyMultiplier], rax);
        _c.Label(ref noMultiplier);
        _c.jmp(step);

        _c.Label(ref msix);
        StructureAddress(offsetRegister: 4, barRegister: 4);
        _c.mov(__qword_ptr[r12 + DiskBlock.MsixTable], rax);
        _c.mov(eax, ebp);
        _c.or(eax, unchecked((int)0x8000_0000)); // MSI-X enable
        _c.and(eax, unchecked((int)0xBFFF_FFFF)); // not all masked
        _c.call(_write);

        _c.Label(ref step);
        _c.mov(eax, ebp);
        _c.movzx(ecx, ah);
        _c.jmp(next);
        _c.Label(ref done);
        _c.ret();
    }

    // RAX = address of the BAR + offset. In MSI-X one register holds both, the BAR in bits 2-0.
    private void StructureAddress(int offsetRegister, int barRegister)
    {
        _c.add(ecx, offsetRegister);
        _c.call(_read);
        _c.mov(r9d, eax);
        _c.sub(ecx, offsetRegister - barRegister);
        _c.call(_read);
        _c.sub(ecx, barRegister);
        _c.and(eax, 7);
        _c.call(_barAddress);
        if (offsetRegister == barRegister)
        {
            _c.and(r9d, -8);
        }

        _c.add(rax, r9);
    }

    // R13: common configuration.
    private void EmitInitialize()
    {
        Label reset = _c.CreateLabel();
        _c.Label(ref _initialize);
        _c.mov(r13, __qword_ptr[r12 + DiskBlock.CommonConfig]);
        _c.test(r13, r13);
        _c.jz(_fail);
        _c.cmp(__qword_ptr[r12 + DiskBlock.MsixTable], 0);
        _c.je(_fail);
        _c.mov(__byte_ptr[r13 + Status], 0);
        _c.Label(ref reset);
        _c.cmp(__byte_ptr[r13 + Status], 0);
        _c.jne(reset);
        _c.mov(__byte_ptr[r13 + Status], Acknowledge);
        _c.mov(__byte_ptr[r13 + Status], Acknowledge | Driver);

        _c.mov(__dword_ptr[r13 + DeviceFeatureSelect], 0);
        _c.mov(eax, __dword_ptr[r13 + DeviceFeature]);
        _c.and(eax, FeatureFlush);
        _c.mov(__qword_ptr[r12 + DiskBlock.HasFlush], rax);
        _c.mov(__dword_ptr[r13 + DriverFeatureSelect], 0);
        _c.mov(__dword_ptr[r13 + DriverFeature], eax);
        _c.mov(__dword_ptr[r13 + DriverFeatureSelect], 1);
        _c.mov(__dword_ptr[r13 + DriverFeature], 1); // VIRTIO_F_VERSION_1
        _c.mov(__byte_ptr[r13 + Status], Acknowledge | Driver | FeaturesOk);
        _c.test(__byte_ptr[r13 + Status], FeaturesOk);
        _c.jz(_fail);

        EmitVector();
        EmitQueue();
        EmitDescriptors();
        EmitSlots();
        _c.mov(__byte_ptr[r13 + Status], Acknowledge | Driver | FeaturesOk | DriverOk);
        _c.ret();
    }

    // MSI-X entry 0: address of vCPU 0's APIC, vector of this disk, unmasked.
    private void EmitVector()
    {
        _c.mov(rdi, __qword_ptr[r12 + DiskBlock.MsixTable]);
        _c.mov(__dword_ptr[rdi], unchecked((int)LocalApic));
        _c.mov(__dword_ptr[rdi + 4], 0);
        _c.mov(eax, __dword_ptr[r12 + DiskBlock.Index]);
        _c.add(eax, InterruptRoutines.DiskVector);
        _c.mov(__dword_ptr[rdi + 8], eax);
        _c.mov(__dword_ptr[rdi + 12], 0);
        _c.mov(__word_ptr[r13 + ConfigVector], unchecked((short)0xFFFF));
    }

    private void EmitQueue()
    {
        _c.mov(__word_ptr[r13 + QueueSelect], 0);
        _c.cmp(__word_ptr[r13 + QueueSizeRegister], DiskBlock.QueueSize);
        _c.jb(_fail);
        _c.mov(__word_ptr[r13 + QueueSizeRegister], DiskBlock.QueueSize);
        _c.mov(__word_ptr[r13 + QueueVector], 0);
        _c.cmp(__word_ptr[r13 + QueueVector], 0);
        _c.jne(_fail);
        int[] areas = [DiskBlock.Descriptors, DiskBlock.Available, DiskBlock.Used];
        for (int i = 0; i < areas.Length; i++)
        {
            _c.lea(eax, __[r12 + areas[i]]);
            _c.mov(__dword_ptr[r13 + QueueAddresses + (i * 8)], eax);
            _c.mov(__dword_ptr[r13 + QueueAddresses + (i * 8) + 4], 0);
        }

        _c.mov(__word_ptr[r13 + QueueEnable], 1);
        _c.movzx(eax, __word_ptr[r13 + QueueNotifyOffset]);
        _c.imul(rax, __qword_ptr[r12 + DiskBlock.NotifyMultiplier]);
        _c.add(__qword_ptr[r12 + DiskBlock.Notify], rax);
    }

    // Descriptor: address u64, length u32, flags u16 (1 next, 2 device writes), next u16. Spec: VIRTIO 1.2, section 2.7.5.
    private void EmitDescriptors()
    {
        (int Offset, uint Bytes, ushort Flags)[] descriptors =
        [
            (DiskBlock.WriteHeader, 16, 1), (DiskBlock.Record, StepRecord.Bytes, 1), (DiskBlock.WriteStatus, 1, 2),
            (DiskBlock.FlushHeader, 16, 1), (DiskBlock.FlushStatus, 1, 2),
        ];
        for (int i = 0; i < descriptors.Length; i++)
        {
            (int offset, uint bytes, ushort flags) = descriptors[i];
            _c.lea(rax, __[r12 + offset]);
            _c.mov(__qword_ptr[r12 + (i * 16)], rax);
            _c.mov(__dword_ptr[r12 + (i * 16) + 8], bytes);
            _c.mov(__dword_ptr[r12 + (i * 16) + 12], ((uint)(i + 1) << 16) | flags);
        }

        _c.mov(__dword_ptr[r12 + DiskBlock.WriteHeader], 1); // VIRTIO_BLK_T_OUT
        _c.mov(__dword_ptr[r12 + DiskBlock.FlushHeader], 4); // VIRTIO_BLK_T_FLUSH
    }

    // Not more slots than the disk has sectors.
    private void EmitSlots()
    {
        _c.mov(rdi, __qword_ptr[r12 + DiskBlock.DeviceConfig]);
        _c.mov(eax, __dword_ptr[rdi + 4]);
        _c.shl(rax, 32);
        _c.mov(ecx, __dword_ptr[rdi]);
        _c.or(rax, rcx);
        _c.jz(_fail);
        _c.mov(rcx, __qword_ptr[GuestMemory.Slots]);
        _c.cmp(rcx, rax);
        _c.cmova(rcx, rax);
        _c.mov(__qword_ptr[r12 + DiskBlock.Slots], rcx);
    }
}
