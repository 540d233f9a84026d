using Hypervisor.Cpu.Translation;

namespace Hypervisor.Cpu.Paging;

/// <content>Accesses of generated code.</content>
internal sealed unsafe partial class MmuSlowPath
{
    /// <summary>
    /// For generated code, see <see cref="Mmu.Access"/>. Stores go to RAM only, within a page; so does what is shared.
    /// </summary>
    internal byte* Access(ulong linear, AccessDescriptor access, out ExitReason reason)
    {
        reason = ExitReason.Fault;
        if ((linear & access.AlignmentMask) != 0)
        {
            vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            return null;
        }

        if (access.IsShared)
        {
            return Grant(linear, access, ref reason);
        }

        if (!access.IsWrite)
        {
            return Read(linear, access.SizeBytes, access.Segment, CurrentMode());
        }

        if ((int)(linear & 0xFFF) + access.SizeBytes > 0x1000)
        {
            reason = ExitReason.InterpretOne;
            return null;
        }

        byte* data = BeginWrite(linear, access.SizeBytes, access.Segment, CurrentMode(), keep: false);
        if (data == _state->Scratch)
        {
            reason = ExitReason.InterpretOne;
            return null;
        }

        return data;
    }

    // Only where the TLB grants all of the page: not for devices, not for stores beside code.
    private byte* Grant(ulong linear, AccessDescriptor access, ref ExitReason reason)
    {
        int mode = CurrentMode();
        MemoryAccess kind = access.IsWrite ? MemoryAccess.Write : MemoryAccess.Read;
        if (!CheckAddress(linear, access.SizeBytes, access.Segment, mode)
            || !TryTranslate(linear, kind, mode, out _, out byte* host))
        {
            return null;
        }

        if (access.IsWrite && host != null)
        {
            _ram.PrepareWrite(host - _ram.Base, access.SizeBytes);
            ArmWrite(linear, host, mode);
        }

        TlbEntry entry = tlb.Slot(mode, linear);
        ulong tag = access.IsWrite ? entry.WriteTag : entry.ReadTag;
        if (!TlbEntry.Hits(tag, linear, access.SizeBytes))
        {
            reason = ExitReason.Careful;
            return null;
        }

        return (byte*)(linear + entry.Addend);
    }
}
