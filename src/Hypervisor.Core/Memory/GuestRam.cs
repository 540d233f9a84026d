using System;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using Hypervisor.Core.Host;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Core.Memory;

/// <summary>The guest's RAM: one shared anonymous mapping, and one <see cref="PageState"/> byte per page.</summary>
/// <remarks>
/// RAM offsets run from 0 without holes. Guest physical addresses (GPAs) follow the PC map:
/// <code>
/// GPA 0 .. 640 KiB               RAM offset = GPA
/// GPA 640 .. 768 KiB             legacy VGA window, not RAM (the RAM behind it is unreachable)
/// GPA 768 KiB .. low end         RAM offset = GPA      (low end = min(size, 3 GiB))
/// GPA 4 GiB .. 4 GiB + rest      RAM offset = GPA - 4 GiB + low end
/// </code>
/// Threads: any thread may read and write; the bus lock or the architecture orders them. State bytes change by
/// compare-and-swap because vCPUs, DMA and the copier meet there.
/// </remarks>
public sealed unsafe class GuestRam : IDisposable
{
    /// <summary>Smallest RAM that <see cref="GuestRam(long)"/> takes: 1 MiB, the real-mode address space.</summary>
    public const long BytesMin = 1L << 20;

    /// <summary>GPA at which the part of RAM above the PCI hole starts.</summary>
    public const ulong HighStart = 4UL << 30;

    /// <summary>End of low RAM when there is more RAM than fits below the PCI hole.</summary>
    public const long LowBytesMax = 3L << 30;

    private const ulong VgaStart = 0xA_0000;
    private const ulong VgaEnd = 0xC_0000;

    private readonly byte* _base;
    private readonly byte* _states;
    private readonly SafeFileHandle _file; // the mapping's memory
    private readonly PrivateRam _zeroes = new(pageCount: 1); // never written
    private IPageWatcher? _copier;
    private IPageWatcher? _code;
    private IPageWatcher? _monitor;

    /// <summary>Maps <paramref name="lengthBytes"/> of zeroed RAM, a multiple of the page size.</summary>
    /// <exception cref="HostException">The host has not that much memory to map.</exception>
    public GuestRam(long lengthBytes)
    {
        Check.That(lengthBytes >= BytesMin);
        Check.That(lengthBytes % PageKernels.PageBytes == 0);
        LengthBytes = lengthBytes;
        LowBytes = Math.Min(lengthBytes, LowBytesMax);
        _base = HostMemory.MapSharedMemory("guest-ram", lengthBytes, out _file);

        // Rounded up to a cache line, so that SIMD scans need no tail.
        _states = (byte*)NativeMemory.AlignedAlloc((nuint)((PageCount + 63) & ~63L), 64);
        NativeMemory.Clear(_states, (nuint)((PageCount + 63) & ~63L));
        StateBytes.Fill((byte)PageState.Unbacked);
    }

    /// <summary>Size of RAM in bytes.</summary>
    public long LengthBytes { get; }

    /// <summary>Bytes of RAM below the PCI hole.</summary>
    public long LowBytes { get; }

    /// <summary>Number of 4 KiB pages.</summary>
    public long PageCount => LengthBytes / PageKernels.PageBytes;

    /// <summary>Host address of RAM offset 0.</summary>
    public byte* Base => _base;

    /// <summary>The <see cref="PageState"/> bytes, one per page, indexed by RAM offset / 4096.</summary>
    public byte* States => _states;

    /// <summary>The state bytes as a span: one per page.</summary>
    public Span<byte> StateBytes => new(_states, checked((int)PageCount));

    /// <summary>
    /// Sets who copies a <see cref="PageState.CopyPending"/> page before a store; the one before gives way.
    /// </summary>
    public void WatchCopies(IPageWatcher copier) => Interlocked.Exchange(ref _copier, copier);

    /// <summary>
    /// Takes <paramref name="copier"/> off, unless a successor is in its place already. Call while paused.
    /// </summary>
    public void UnwatchCopies(IPageWatcher copier) => Interlocked.CompareExchange(ref _copier, null, copier);

    /// <summary>Sets who drops decoded code when a <see cref="PageState.Code"/> page is stored to.</summary>
    public void WatchCode(IPageWatcher? code) => _code = code;

    /// <summary>Sets who is told when a <see cref="PageState.Monitored"/> page is stored to.</summary>
    public void WatchMonitor(IPageWatcher monitor) => _monitor = monitor;

    /// <summary>Translates a GPA range into a RAM offset. False when any byte of it is not RAM.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryGetOffset(ulong gpa, long lengthBytes, out long ramOffset)
    {
        // No sum of guest values is ever formed: it could wrap.
        ulong length = (ulong)lengthBytes;
        ulong low = (ulong)LowBytes;
        if (gpa < low && length <= low - gpa)
        {
            ramOffset = (long)gpa;
            return gpa >= VgaEnd || (gpa < VgaStart && length <= VgaStart - gpa);
        }

        ulong high = (ulong)(LengthBytes - LowBytes);
        ramOffset = (long)(gpa - HighStart + low);
        return gpa >= HighStart && gpa - HighStart < high && length <= high - (gpa - HighStart);
    }

    /// <summary>Must precede every store to RAM [<paramref name="ramOffset"/>, +length), DMA's and firmware's
    /// included.</summary>
    public void PrepareWrite(long ramOffset, long lengthBytes)
    {
        Check.That(lengthBytes > 0 && ramOffset >= 0 && lengthBytes <= LengthBytes - ramOffset);
        long end = ramOffset + lengthBytes;
        while (ramOffset < end)
        {
            long page = ramOffset / PageKernels.PageBytes;
            long next = Math.Min(end, (page + 1) * PageKernels.PageBytes);
            if (_states[page] != (byte)PageState.Dirty)
            {
                PreparePageSlow(page, ramOffset, (int)(next - ramOffset));
            }

            ramOffset = next;
        }
    }

    /// <summary>
    /// Gives whole pages back to the host: they read as zero, are dirty, and get memory again when they are stored to.
    /// A store, so it is called like one: by a device with the bus lock held, or while nothing runs.
    /// </summary>
    public void Discard(long ramOffset, long lengthBytes)
    {
        Check.That(ramOffset % PageKernels.PageBytes == 0 && lengthBytes % PageKernels.PageBytes == 0);
        PrepareWrite(ramOffset, lengthBytes); // what a cut still wants of the pages is copied first
        if (!HostMemory.TryReleaseShared(_base + ramOffset, lengthBytes))
        {
            NativeMemory.Clear(_base + ramOffset, (nuint)lengthBytes); // locked memory cannot be given back
            return;
        }

        long end = (ramOffset + lengthBytes) / PageKernels.PageBytes;
        for (long page = ramOffset / PageKernels.PageBytes; page < end; page++)
        {
            SetFlags(page, PageState.Unbacked);
        }
    }

    /// <summary>Whether the host holds memory for any page of a range. Any thread; a system call.</summary>
    public bool HasMemory(long ramOffset, long lengthBytes) => HostMemory.HasMemory(_file, ramOffset, lengthBytes);

    /// <summary>The bytes of a page, for reading; one that the host holds no memory for stays that way.</summary>
    public ReadOnlySpan<byte> PageBytes(long page)
    {
        long offset = page * PageKernels.PageBytes;
        Check.That(page >= 0 && page < PageCount);
        bool isUnbacked = ((PageState)_states[page] & PageState.Unbacked) != 0
            && !HasMemory(offset, PageKernels.PageBytes);
        return isUnbacked ? _zeroes.Page(0) : ReadOnlyBytes(offset, PageKernels.PageBytes);
    }

    /// <summary>Copies RAM at <paramref name="gpa"/> out. False, and nothing copied, when the range is not all
    /// RAM.</summary>
    public bool TryRead(ulong gpa, Span<byte> target)
    {
        if (!TryGetOffset(gpa, target.Length, out long offset))
        {
            return false;
        }

        new ReadOnlySpan<byte>(_base + offset, target.Length).CopyTo(target);
        return true;
    }

    /// <summary>Copies <paramref name="source"/> to <paramref name="gpa"/>. False, and no change, outside
    /// RAM.</summary>
    public bool TryWrite(ulong gpa, ReadOnlySpan<byte> source)
    {
        if (!TryGetOffset(gpa, source.Length, out long offset))
        {
            return false;
        }

        if (!source.IsEmpty)
        {
            PrepareWrite(offset, source.Length);
            source.CopyTo(new Span<byte>(_base + offset, source.Length));
        }

        return true;
    }

    /// <summary>Reads a little-endian integer once. False outside RAM.</summary>
    public bool TryReadU16(ulong gpa, out ushort value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ushort)];
        bool inside = TryRead(gpa, bytes);
        value = inside ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : (ushort)0;
        return inside;
    }

    /// <summary>Reads a little-endian integer once. False outside RAM.</summary>
    public bool TryReadU32(ulong gpa, out uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        bool inside = TryRead(gpa, bytes);
        value = inside ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : 0;
        return inside;
    }

    /// <summary>Bytes of RAM by offset, for reading whole pages (copier, digests).</summary>
    public ReadOnlySpan<byte> ReadOnlyBytes(long ramOffset, int lengthBytes)
    {
        Check.That(lengthBytes >= 0 && ramOffset >= 0 && lengthBytes <= LengthBytes - ramOffset);
        return new ReadOnlySpan<byte>(_base + ramOffset, lengthBytes);
    }

    /// <summary>Bytes of RAM by offset, for writing: marks the pages first.</summary>
    public Span<byte> WritableBytes(long ramOffset, int lengthBytes)
    {
        PrepareWrite(ramOffset, lengthBytes);
        return new Span<byte>(_base + ramOffset, lengthBytes);
    }

    /// <summary>Sets flags in a page's state byte. Any thread.</summary>
    public void SetFlags(long page, PageState flags)
    {
        byte seen = _states[page];
        byte found;
        while ((found = Interlocked.CompareExchange(ref _states[page], (byte)(seen | (byte)flags), seen)) != seen)
        {
            seen = found;
        }
    }

    /// <summary>Clears flags in a page's state byte. Any thread.</summary>
    public void ClearFlags(long page, PageState flags)
    {
        byte seen = _states[page];
        byte found;
        while ((found = Interlocked.CompareExchange(ref _states[page], (byte)(seen & ~(byte)flags), seen)) != seen)
        {
            seen = found;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        HostMemory.Unmap(_base, LengthBytes);
        _file.Dispose();
        _zeroes.Dispose();
        NativeMemory.AlignedFree(_states);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void PreparePageSlow(long page, long ramOffset, int lengthBytes)
    {
        while (true)
        {
            var state = (PageState)Volatile.Read(ref _states[page]); // pairs with the copier's ClearFlags
            if ((state & (PageState.CopyPending | PageState.Copying)) != 0)
            {
                Check.That(_copier is not null);
                _copier.BeforeWrite(ramOffset, lengthBytes);
                continue;
            }

            if ((state & PageState.Code) != 0)
            {
                Check.That(_code is not null);
                _code.BeforeWrite(ramOffset, lengthBytes);
            }

            if ((state & PageState.Monitored) != 0)
            {
                Check.That(_monitor is not null);
                _monitor.BeforeWrite(ramOffset, lengthBytes);
            }

            // Flags that another thread set meanwhile have a watcher too, who must be told as well.
            byte seen = (byte)state;
            byte written = (byte)((state | PageState.Dirty) & ~PageState.Unbacked);
            if (Interlocked.CompareExchange(ref _states[page], written, seen) == seen)
            {
                return;
            }
        }
    }
}
