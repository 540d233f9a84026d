using System.Threading;
using Hypervisor.Core.Memory;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Paging;

/// <summary>Walks the guest's page tables: none, 2-level, PAE and 4-level. Spec: SDM volume 3, chapter 4.</summary>
internal static unsafe class PageWalk
{
    /// <summary>Physical address width that CPUID reports: 40 bits, 1 TiB.</summary>
    internal const int PhysicalAddressBits = 40;

    private const ulong Present = 1 << 0;
    private const ulong Writable = 1 << 1;
    private const ulong User = 1 << 2;
    private const ulong Accessed = 1 << 5;
    private const ulong Dirty = 1 << 6;
    private const ulong LargePage = 1 << 7;
    private const ulong Global = 1 << 8;
    private const ulong NoExecute = 1ul << 63;

    private const uint ErrorPresent = 1 << 0;
    private const uint ErrorWrite = 1 << 1;
    private const uint ErrorUser = 1 << 2;
    private const uint ErrorReserved = 1 << 3;
    private const uint ErrorFetch = 1 << 4;

    private const ulong AddressMask = ((1ul << PhysicalAddressBits) - 1) & ~0xFFFul;

    // Bits 51:40 of an entry must be zero with a 40-bit physical address width.
    private const ulong ReservedHigh = ((1ul << 52) - 1) & ~((1ul << PhysicalAddressBits) - 1);

    /// <summary>Translates <paramref name="linear"/>, sets accessed and dirty bits.</summary>
    /// <param name="state">Control registers and RFLAGS.AC.</param>
    /// <param name="ram">Where the tables are.</param>
    /// <param name="linear">Canonical linear address.</param>
    /// <param name="access">What will be done.</param>
    /// <param name="isUser">Whether it is a user-mode access (CPL 3 and not an implicit supervisor access).</param>
    /// <param name="allowUserPages">
    /// Supervisor data access only: SMAP does not apply (off, or AC set and explicit).
    /// </param>
    /// <param name="page">The translation.</param>
    /// <param name="errorCode">For #PF, when the result is false.</param>
    internal static bool TryTranslate(
        CpuState* state,
        GuestRam ram,
        ulong linear,
        MemoryAccess access,
        bool isUser,
        bool allowUserPages,
        out PageTranslation page,
        out uint errorCode)
    {
        page = default;
        bool noExecuteEnabled = (state->Efer & Efer.NoExecuteEnable) != 0;
        errorCode = (access == MemoryAccess.Write ? ErrorWrite : 0) | (isUser ? ErrorUser : 0);
        if (access == MemoryAccess.Execute
            && (noExecuteEnabled || (state->Cr4 & Cr4.SupervisorExecutionPrevention) != 0))
        {
            errorCode |= ErrorFetch;
        }

        if ((state->Cr0 & Cr0.Paging) == 0)
        {
            page = new PageTranslation
            {
                Gpa = linear & 0xFFFF_FFFF,
                PageShift = 12,
                IsWritable = true,
                IsUser = true,
                IsDirty = true,
            };
            return true;
        }

        bool wide = (state->Cr4 & Cr4.PhysicalAddressExtension) != 0;
        Walk walk;
        do
        {
            walk = new Walk(ram, noExecuteEnabled);
            bool found = state->LongMode != 0
                ? walk.FourLevel(state->Cr3, linear)
                : wide ? walk.Pae(state->Cr3, (uint)linear) : walk.TwoLevel(state->Cr3, (uint)linear, state->Cr4);
            if (!found)
            {
                errorCode |= walk.IsReservedViolation ? ErrorReserved | ErrorPresent : 0;
                return false;
            }

            page.IsWritable = walk.IsWritable;
            page.IsUser = walk.IsUser;
            page.IsNoExecute = walk.IsNoExecute;
            if (!IsAllowed(state, page, access, isUser, allowUserPages))
            {
                errorCode |= ErrorPresent;
                return false;
            }
        }
        while (!walk.TryMarkAccessed(access == MemoryAccess.Write, out page.IsDirty));

        page.PageShift = walk.PageShift;
        page.Gpa = walk.PageBase | (linear & ((1ul << walk.PageShift) - 1));
        page.IsGlobal = walk.IsGlobal && (state->Cr4 & Cr4.PageGlobalEnable) != 0;
        return true;
    }

    /// <summary>Whether a mapped page permits an access. Spec: SDM volume 3, 4.6.1.</summary>
    internal static bool IsAllowed(
        CpuState* state, in PageTranslation page, MemoryAccess access, bool isUser, bool allowUserPages)
    {
        if (isUser && !page.IsUser)
        {
            return false;
        }

        return access switch
        {
            MemoryAccess.Execute => !page.IsNoExecute
                && (isUser || !page.IsUser || (state->Cr4 & Cr4.SupervisorExecutionPrevention) == 0),
            MemoryAccess.Write => (isUser || !page.IsUser || allowUserPages)
                && (page.IsWritable || (!isUser && (state->Cr0 & Cr0.WriteProtect) == 0)),
            _ => isUser || !page.IsUser || allowUserPages,
        };
    }

    /// <summary>One walk: the entries it went through and what they grant together.</summary>
    private ref struct Walk(GuestRam ram, bool noExecuteEnabled)
    {
        private fixed long _entryOffsets[4]; // RAM offsets of the entries, to set accessed bits once all is allowed
        private fixed ulong _entries[4];     // what was read there
        private int _levels;
        private bool _isNarrow;

        internal bool IsWritable = true;
        internal bool IsUser = true;
        internal bool IsNoExecute;
        internal bool IsGlobal;
        internal bool IsReservedViolation;
        internal int PageShift;
        internal ulong PageBase;

        internal bool FourLevel(ulong cr3, ulong linear)
        {
            ulong table = cr3 & AddressMask;
            for (int shift = 39; shift >= 12; shift -= 9)
            {
                if (!TryEntry(table, (uint)(linear >> shift) & 0x1FF, out ulong entry))
                {
                    return false;
                }

                ulong reserved = ReservedHigh | (noExecuteEnabled ? 0 : NoExecute);
                bool isLeaf = shift == 12 || (shift <= 30 && (entry & LargePage) != 0);
                if (shift == 39)
                {
                    reserved |= LargePage;
                }
                else if (isLeaf && shift > 12)
                {
                    reserved |= ((1ul << shift) - 1) & ~0x1FFFul; // bit 12 of a large page is PAT
                }

                if (!Grant(entry, reserved))
                {
                    return false;
                }

                if (isLeaf)
                {
                    return Leaf(entry, shift, entry & AddressMask);
                }

                table = entry & AddressMask;
            }

            return false;
        }

        internal bool Pae(ulong cr3, uint linear)
        {
            // The page-directory-pointer entries have no permission bits; hardware caches them at MOV CR3, and a guest
            // that changes them reloads CR3, so reading them here is the same.
            if (!TryEntry(cr3 & 0xFFFF_FFE0, linear >> 30, out ulong pointer))
            {
                return false;
            }

            _levels = 0; // no accessed bit there
            ulong table = pointer & AddressMask;
            for (int shift = 21; shift >= 12; shift -= 9)
            {
                if (!TryEntry(table, (linear >> shift) & 0x1FF, out ulong entry))
                {
                    return false;
                }

                // Without long mode bits 62:52 are reserved as well.
                ulong reserved = ReservedHigh | (0x7FFul << 52) | (noExecuteEnabled ? 0 : NoExecute);
                bool isLeaf = shift == 12 || (entry & LargePage) != 0;
                if (isLeaf && shift == 21)
                {
                    reserved |= 0x1F_E000;
                }

                if (!Grant(entry, reserved))
                {
                    return false;
                }

                if (isLeaf)
                {
                    return Leaf(entry, shift, entry & AddressMask);
                }

                table = entry & AddressMask;
            }

            return false;
        }

        internal bool TwoLevel(ulong cr3, uint linear, ulong cr4)
        {
            _isNarrow = true;
            if (!TryEntry(cr3 & 0xFFFF_F000, linear >> 22, out ulong directory) || !Grant(directory, 0))
            {
                return false;
            }

            if ((directory & LargePage) != 0 && (cr4 & Cr4.PageSizeExtensions) != 0)
            {
                // PSE-36: bits 20:13 are bits 39:32 of the address; bit 21 is reserved.
                IsReservedViolation = (directory & (1 << 21)) != 0;
                return !IsReservedViolation
                    && Leaf(directory, 22, (directory & 0xFFC0_0000) | ((directory & 0x1F_E000) << 19));
            }

            return TryEntry(directory & 0xFFFF_F000, (linear >> 12) & 0x3FF, out ulong entry)
                && Grant(entry, 0)
                && Leaf(entry, 12, entry & 0xFFFF_F000);
        }

        /// <summary>
        /// Sets the accessed bits, and the leaf's dirty bit for a write. False: another vCPU has changed an entry since
        /// it was read, and what it says now counts (SDM volume 3, 4.8): walk again.
        /// </summary>
        internal bool TryMarkAccessed(bool isWrite, out bool isDirty)
        {
            isDirty = false;
            for (int level = 0; level < _levels; level++)
            {
                bool isLeaf = level == _levels - 1;
                ulong bits = Accessed | (isLeaf && isWrite ? Dirty : 0);
                if ((_entries[level] & bits) != bits && !TrySetBits(level, bits))
                {
                    return false;
                }

                isDirty = isLeaf && ((_entries[level] | bits) & Dirty) != 0;
            }

            return true;
        }

        private bool Leaf(ulong entry, int shift, ulong address)
        {
            PageShift = shift;
            PageBase = address & ~((1ul << shift) - 1);
            IsGlobal = (entry & Global) != 0;
            return true;
        }

        private bool Grant(ulong entry, ulong reserved)
        {
            IsReservedViolation = (entry & reserved) != 0;
            IsWritable &= (entry & Writable) != 0;
            IsUser &= (entry & User) != 0;
            IsNoExecute |= noExecuteEnabled && (entry & NoExecute) != 0;
            return !IsReservedViolation;
        }

        // A table outside RAM reads as ones elsewhere; here it counts as not present.
        private bool TryEntry(ulong table, uint index, out ulong entry)
        {
            int size = _isNarrow ? sizeof(uint) : sizeof(ulong);
            entry = 0;
            if (!ram.TryGetOffset(table + (index * (uint)size), size, out long offset))
            {
                return false;
            }

            entry = _isNarrow
                ? Volatile.Read(ref *(uint*)(ram.Base + offset))
                : Volatile.Read(ref *(ulong*)(ram.Base + offset));
            _entryOffsets[_levels] = offset;
            _entries[_levels++] = entry;
            return (entry & Present) != 0;
        }

        private readonly bool TrySetBits(int level, ulong bits)
        {
            long offset = _entryOffsets[level];
            ulong seen = _entries[level];
            byte* entry = ram.Base + offset;
            ram.PrepareWrite(offset, _isNarrow ? sizeof(uint) : sizeof(ulong));
            return _isNarrow
                ? Interlocked.CompareExchange(ref *(uint*)entry, (uint)(seen | bits), (uint)seen) == seen
                : Interlocked.CompareExchange(ref *(ulong*)entry, seen | bits, seen) == seen;
        }
    }
}
