using System;
using System.Buffers.Binary;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Virtio;

/// <summary>A memory balloon: pages that the guest does not use go back to the host.</summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 5.5. Queues: 0 inflates, 1 deflates, 2 has statistics, 3 and 4 report free pages: by the
/// specification that is 4, drivers such as Linux's count only queues that exist. Pages that come here are zero from
/// then on and dirty, so that both halves of a pair have the same (<see cref="GuestRam.Discard"/>). A guest may
/// store to a page of the balloon at any time: the host gives it memory, and nothing else happens.
/// </remarks>
public sealed class VirtioBalloon : VirtioDevice
{
    /// <summary>Bit of the features: the guest may take pages back when it runs out of memory.</summary>
    public const ulong DeflateOnOutOfMemory = 1UL << 2;

    /// <summary>Bit of the features: free pages are reported.</summary>
    public const ulong PageReporting = 1UL << 5;

    /// <summary>Bit of the features: the guest tells what it fills free pages with.</summary>
    public const ulong PagePoison = 1UL << 4;

    /// <summary>Bit of the features: there are statistics.</summary>
    public const ulong Statistics = 1UL << 1;

    /// <summary>Most bytes of page numbers in one request; a longer one breaks the device.</summary>
    public const int ChainBytesMax = 4096; // what Windows sends; Linux sends 1 KiB

    /// <summary>Most pages that are given back in one hold of the bus lock: about a millisecond.</summary>
    public const int PagesPerHold = 1024;

    private const int InflateQueue = 0, DeflateQueue = 1, StatisticsQueue = 2, FirstReportQueue = 3, Queues = 5;
    private const int ActualOffset = 4, PoisonOffset = 12, ConfigLength = 16;
    private const int StatisticBytes = 10; // tag u16 | value u64
    private const int StatisticsRead = 16; // ten are known
    private const int FreeTag = 4, AvailableTag = 6, TagCount = 10;
    private const ulong Unsaid = ulong.MaxValue;

    private readonly DeviceContext _context;
    private readonly ushort _instance;
    private readonly VirtioBalloonOptions _options;
    private readonly VirtqueueChain _chain = new();
    private readonly VirtqueueChain _report = new();
    private readonly ulong[] _statistics = new ulong[TagCount]; // by tag; what the host knows is no state
    private readonly Later _rest;
    private readonly Later _question;

    private uint _targetPages;
    private uint _actualPages;
    private uint _poison;
    private bool _hasStatistics; // the driver's buffer waits here until somebody wants to know
    private ushort _statisticsHead;
    private bool _hasReport; // a chain of free pages is being worked on
    private ushort _reportQueue;
    private ushort _reportHead;
    private long _reportedBytes; // so many of its bytes are given back

    /// <summary>Makes a balloon that is empty.</summary>
    public VirtioBalloon(DeviceContext context, ushort instance, VirtioBalloonOptions options)
    {
        _context = context;
        _instance = instance;
        _options = options;
        _rest = new Later(context.EventLoop, ServiceAll);
        _question = new Later(context.EventLoop, AskGuest);
        Array.Fill(_statistics, Unsaid);
    }

    /// <inheritdoc/>
    public override SectionId Section => new(Tag: 0x4C41_4256, _instance, Version: 1); // "VBAL"

    /// <inheritdoc/>
    public override ushort DeviceType => 5;

    /// <inheritdoc/>
    public override uint ClassCode => 0x00_FF00;

    /// <inheritdoc/>
    public override ulong DeviceFeatures
        => Statistics | PagePoison
            | (_options.DeflatesOnOutOfMemory ? DeflateOnOutOfMemory : 0)
            | (_options.ReportsFreePages ? PageReporting : 0);

    /// <inheritdoc/>
    public override int QueueCount => _options.ReportsFreePages ? Queues : FirstReportQueue;

    /// <inheritdoc/>
    public override ushort QueueSizeMax => 128;

    /// <inheritdoc/>
    public override int ConfigBytes => ConfigLength;

    /// <summary>Where it stands. Any thread.</summary>
    public BalloonStatus Status => new(
        PageKernels.PageBytes * (long)Volatile.Read(ref _targetPages), // written under the bus lock, read alone
        PageKernels.PageBytes * (long)Volatile.Read(ref _actualPages),
        Said(FreeTag),
        Said(AvailableTag));

    /// <summary>Asks the guest for so many bytes of its RAM, from soon on. Any thread.</summary>
    /// <param name="lengthBytes">Whole pages, less than RAM.</param>
    public void SetTarget(long lengthBytes)
    {
        Check.That(lengthBytes >= 0 && lengthBytes < _context.Ram.LengthBytes);
        _context.EventLoop.Post(new Wish(this, (uint)(lengthBytes / PageKernels.PageBytes)));
    }

    /// <summary>Asks the guest for new statistics, if it has any. Any thread.</summary>
    public void RefreshStatistics() => _question.Post();

    /// <inheritdoc/>
    public override void ReadConfig(Span<byte> config)
    {
        // num_pages u32 @0 | actual u32 @4 | free_page_hint_cmd_id u32 @8 | poison_val u32 @12
        config.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(config, _targetPages);
        BinaryPrimitives.WriteUInt32LittleEndian(config[ActualOffset..], _actualPages);
        BinaryPrimitives.WriteUInt32LittleEndian(config[PoisonOffset..], _poison);
    }

    /// <inheritdoc/>
    public override void WriteConfig(int offset, byte value)
    {
        if (offset is >= ActualOffset and < ActualOffset + sizeof(uint))
        {
            _actualPages = WithByte(_actualPages, offset - ActualOffset, value);
        }
        else if (offset >= PoisonOffset && Transport.Negotiation.Has(PagePoison))
        {
            _poison = WithByte(_poison, offset - PoisonOffset, value);
        }
    }

    /// <inheritdoc/>
    public override void ServiceQueue(int index)
    {
        // A queue that is refilled as fast as it is emptied, or a long report, must not hold the bus lock for ever.
        int budget = PagesPerHold;
        while (budget > 0)
        {
            bool isFull = index == StatisticsQueue && _hasStatistics;
            bool isDone = isFull || (index >= FirstReportQueue && _hasReport
                ? !TryGoOnWithReport(ref budget)
                : !TryTake(index, ref budget));
            if (isDone)
            {
                return;
            }
        }

        _rest.Post();
    }

    /// <inheritdoc/>
    public override void OnQueueReset(int index)
    {
        _hasStatistics &= index != StatisticsQueue;
        _hasReport &= index != _reportQueue;
    }

    /// <inheritdoc/>
    public override void OnReset()
    {
        _actualPages = 0; // what a new driver has not given is its own
        _poison = 0;
        _hasStatistics = false;
        _hasReport = false;
        Array.Fill(_statistics, Unsaid);
    }

    /// <inheritdoc/>
    public override void ResumeInFlight()
    {
        // The guest must not touch it meanwhile: what it left alone reads as before.
        if (_hasReport && !(CanServe(_reportQueue)
            && Transport.Queue(_reportQueue).TryReadChain(_reportHead, _report)))
        {
            _hasReport = false;
            Transport.MarkBroken();
        }
    }

    /// <inheritdoc/>
    public override void Transfer(ref StateCodec state)
    {
        state.U32(ref _targetPages);
        state.U32(ref _actualPages);
        state.U32(ref _poison);
        state.Bool(ref _hasStatistics);
        state.U16(ref _statisticsHead);
        state.Bool(ref _hasReport);
        state.U16(ref _reportQueue);
        state.U16(ref _reportHead);
        state.I64(ref _reportedBytes);
        if (_reportedBytes < 0 || (_hasReport && (_reportQueue < FirstReportQueue || _reportQueue >= QueueCount)))
        {
            throw new StateFormatException(
                $"balloon reports at queue {_reportQueue}, byte {_reportedBytes}; it has {QueueCount} queues");
        }
    }

    private static uint WithByte(uint value, int index, byte with)
        => (value & ~(0xFFu << (index * 8))) | ((uint)with << (index * 8));

    private bool CanServe(int index) => Transport.IsRunning && Transport.Queue(index).IsEnabled;

    private void ServiceAll()
    {
        for (int i = 0; i < QueueCount; i++)
        {
            if (CanServe(i))
            {
                ServiceQueue(i);
            }
        }
    }

    // The next chain of a queue. False: there is none, or the device is broken.
    private bool TryTake(int index, ref int budget)
    {
        Virtqueue queue = Transport.Queue(index);
        VirtqueueChain chain = index >= FirstReportQueue ? _report : _chain;
        budget--;
        switch (queue.TryPop(chain))
        {
            case VirtqueueResult.Empty:
                return queue.AskForKick();
            case VirtqueueResult.Chain when index == StatisticsQueue:
                ReadStatistics();
                (_hasStatistics, _statisticsHead) = (true, chain.Head);
                return true;
            case VirtqueueResult.Chain when index >= FirstReportQueue:
                (_hasReport, _reportQueue, _reportHead, _reportedBytes) = (true, (ushort)index, chain.Head, 0);
                return true;
            case VirtqueueResult.Chain when chain.ReadableBytes <= ChainBytesMax:
                if (index == InflateQueue)
                {
                    budget -= TakePages((int)chain.ReadableBytes / sizeof(uint));
                }

                return TryGiveBack(index, chain.Head);
            case VirtqueueResult.Chain:
            case VirtqueueResult.Broken:
            default:
                Transport.MarkBroken();
                return false;
        }
    }

    private bool TryGiveBack(int index, ushort head)
    {
        if (!Transport.Queue(index).TryPush(head, 0))
        {
            Transport.MarkBroken();
            return false;
        }

        Transport.NotifyUsed(index);
        return true;
    }

    // The pages that the chain names; neighbours together, because each call to the host costs.
    private int TakePages(int count)
    {
        Span<byte> bytes = stackalloc byte[ChainBytesMax];
        bytes = bytes[..(count * sizeof(uint))];
        if (!_chain.TryRead(_context.Ram, 0, bytes))
        {
            return 0; // the ranges were checked when the chain was read
        }

        Span<uint> pages = stackalloc uint[ChainBytesMax / sizeof(uint)];
        pages = pages[..count];
        for (int i = 0; i < count; i++)
        {
            pages[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(i * sizeof(uint))..]);
        }

        pages.Sort();
        for (int first = 0, end; first < count; first = end)
        {
            for (end = first + 1; end < count && pages[end] - pages[end - 1] <= 1; end++)
            {
                // One more of the run; a page may be named twice.
            }

            Discard(pages[first], pages[end - 1] - pages[first] + 1);
        }

        return count;
    }

    private void Discard(uint page, uint count)
    {
        long lengthBytes = count * (long)PageKernels.PageBytes;
        if (_context.Ram.TryGetOffset(page * (ulong)PageKernels.PageBytes, lengthBytes, out long offset))
        {
            _context.Ram.Discard(offset, lengthBytes);
        }
        else if (count > 1)
        {
            // Some of it is no RAM, which the guest may name and nothing comes of.
            Discard(page, count / 2);
            Discard(page + (count / 2), count - (count / 2));
        }
    }

    // A piece of the report in hand, and back with it when it was the last. False: the device is broken.
    private bool TryGoOnWithReport(ref int budget)
    {
        while (budget > 0 && _report.TryGetWritable(_reportedBytes, out ulong gpa, out long lengthBytes))
        {
            long skipBytes = (long)((0 - gpa) % PageKernels.PageBytes); // to the first whole page
            lengthBytes = Math.Min(lengthBytes, skipBytes + (budget * (long)PageKernels.PageBytes));
            _reportedBytes += lengthBytes;
            long pages = (lengthBytes - skipBytes) / PageKernels.PageBytes;
            budget -= Math.Max(1, (int)pages);

            // Free pages hold the poison, and must hold it when they are used again. Spec: section 5.5.6.7.
            if (pages > 0 && _poison == 0)
            {
                ulong first = gpa + (ulong)skipBytes;
                Check.That(_context.Ram.TryGetOffset(first, pages * PageKernels.PageBytes, out long offset));
                _context.Ram.Discard(offset, pages * PageKernels.PageBytes);
            }
        }

        if (budget <= 0)
        {
            return true;
        }

        _hasReport = false;
        return TryGiveBack(_reportQueue, _reportHead);
    }

    private void ReadStatistics()
    {
        Array.Fill(_statistics, Unsaid);
        Span<byte> bytes = stackalloc byte[StatisticBytes];
        int count = (int)Math.Min(StatisticsRead, _chain.ReadableBytes / StatisticBytes);
        for (int i = 0; i < count && _chain.TryRead(_context.Ram, i * StatisticBytes, bytes); i++)
        {
            ushort tag = BinaryPrimitives.ReadUInt16LittleEndian(bytes);
            if (tag < TagCount)
            {
                Volatile.Write(ref _statistics[tag], BinaryPrimitives.ReadUInt64LittleEndian(bytes[sizeof(ushort)..]));
            }
        }
    }

    private long? Said(int tag)
    {
        ulong value = Volatile.Read(ref _statistics[tag]); // a number alone, whenever it was written
        return value > long.MaxValue ? null : (long)value;
    }

    // Gives the driver its buffer back: it fills it anew.
    private void AskGuest()
    {
        if (_hasStatistics && CanServe(StatisticsQueue))
        {
            _hasStatistics = false;
            if (TryGiveBack(StatisticsQueue, _statisticsHead))
            {
                ServiceQueue(StatisticsQueue); // the next one is there already, or a notification of it is asked for
            }
        }
    }

    private void SetTargetPages(uint pages)
    {
        if (_targetPages != pages)
        {
            Volatile.Write(ref _targetPages, pages); // read by Status
            Transport.NotifyConfigChanged();
        }
    }

    private sealed class Later(IEventLoop loop, Action run) : PostedOnce(loop)
    {
        protected override void Run() => run();
    }

    private sealed class Wish(VirtioBalloon balloon, uint pages) : IPostedWork
    {
        public void RunPosted() => balloon.SetTargetPages(pages);
    }
}
