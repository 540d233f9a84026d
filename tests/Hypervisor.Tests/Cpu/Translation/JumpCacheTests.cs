using System;
using System.Collections.Generic;
using System.Numerics;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.Translation;
using Xunit;

namespace Hypervisor.Tests.Cpu.Translation;

/// <summary>The cache as generated code reads it: slot, tag plus address is 0, code pointer.</summary>
public sealed unsafe class JumpCacheTests : IDisposable
{
    private const ulong Rip = 0x7F12_3456_7890;
    private const ulong LowRip = 0x3456_7890;
    private const ulong Code = 0x1000;

    private const int EpochsAt = JumpCache.TotalBytes;
    private const int ReturnsAt = EpochsAt + 64;

    private readonly byte[] _tables = GC.AllocateArray<byte>(ReturnsAt + ReturnCache.TotalBytes, pinned: true);
    private readonly byte* _start;
    private readonly JumpCache _cache;

    public JumpCacheTests()
    {
        fixed (byte* start = _tables)
        {
            _start = start; // pinned for good
        }

        _cache = new JumpCache(_start, (ulong*)(_start + EpochsAt), _start + ReturnsAt);
    }

    public void Dispose() => GC.KeepAlive(_tables);

    [Fact]
    public void Target_is_found_in_its_mode_only()
    {
        _cache.Fill(TlbMode.User, Rip, (byte*)Code, isGlobal: false);

        Assert.Equal(Code, Find(TlbMode.User, Rip));
        Assert.Equal(0ul, Find(TlbMode.Supervisor, Rip));
        Assert.Equal(0ul, Find(TlbMode.User, Rip + 1));
    }

    [Fact]
    public void No_two_epochs_are_as_far_apart_as_two_pages()
    {
        ulong[] times = [1, 2, 4095, 4096, 4097, 8191, 8192, 1 << 20, (1 << 20) + 1, JumpCache.EpochCount - 1];
        ulong[] pages =
        [
            0, 0x1000, 0x2000, 0x40_0000, 0x7FFF_FFFF_F000, 0xFFFF_8000_0000_0000, 0xFFFF_FFFF_8100_0000,
            0xFFFF_FFFF_FFFF_F000,
        ];
        var seen = new HashSet<ulong> { 0 }; // what a link says that knows nothing
        foreach (ulong time in times)
        {
            foreach (ulong page in pages)
            {
                Assert.True(seen.Add(JumpCache.EpochOf(time) - page), $"{time} {page:x}");
            }
        }
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 2)]
    [InlineData(JumpCache.EpochCount - 2, JumpCache.EpochCount - 1)]
    [InlineData(JumpCache.EpochCount - 1, 1)]
    public void Epochs_repeat_without_the_one_that_is_none(ulong forgotten, ulong next)
        => Assert.Equal(next, JumpCache.Next(forgotten));

    [Fact]
    public void What_jumps_and_returns_know_is_forgotten_with_their_mode()
    {
        ulong user = _cache.Epoch(TlbMode.User);
        ulong supervisor = _cache.Epoch(TlbMode.Supervisor);
        ulong* userReturns = (ulong*)(_start + ReturnsAt + (TlbMode.User * ReturnCache.TableBytes));
        ulong* supervisorReturns = (ulong*)(_start + ReturnsAt + (TlbMode.Supervisor * ReturnCache.TableBytes));
        userReturns[5] = ~Rip;
        supervisorReturns[5] = ~Rip;

        _cache.FlushNonGlobal();

        Assert.NotEqual(user, _cache.Epoch(TlbMode.User));
        Assert.Equal(supervisor, _cache.Epoch(TlbMode.Supervisor));
        Assert.Equal(0ul, userReturns[5]);
        Assert.Equal(~Rip, supervisorReturns[5]);
    }

    [Fact]
    public void Page_without_code_can_go_and_nothing_is_forgotten()
    {
        _cache.Fill(TlbMode.User, Rip, (byte*)Code, isGlobal: false);
        ulong epoch = _cache.Epoch(TlbMode.User);

        _cache.FlushPage(Rip + 0x1000);
        Assert.Equal(epoch, _cache.Epoch(TlbMode.User));

        _cache.FlushPage(Rip + 1);
        Assert.NotEqual(epoch, _cache.Epoch(TlbMode.User));
        Assert.Equal(0ul, Find(TlbMode.User, Rip));
    }

    [Fact]
    public void Empty_cache_knows_no_address_not_even_zero()
    {
        for (ulong rip = 0; rip < 4 * JumpCache.SlotCount; rip++)
        {
            Assert.Equal(0ul, Find(TlbMode.Supervisor, rip));
        }
    }

    [Fact]
    public void Second_target_of_a_slot_leaves_the_first_in_the_other_way()
    {
        ulong other = Rip;
        do
        {
            other++;
        }
        while (SlotOf(other) != SlotOf(Rip));

        _cache.Fill(TlbMode.User, Rip, (byte*)Code, isGlobal: false);
        _cache.Fill(TlbMode.User, other, (byte*)(Code + 1), isGlobal: false);

        Assert.Equal(Code, Find(TlbMode.User, Rip));
        Assert.Equal(Code + 1, Find(TlbMode.User, other));
    }

    [Fact]
    public void Page_is_flushed_and_its_neighbours_are_not()
    {
        ulong[] targets = [Rip, Rip | 0xFFF, (Rip & ~0xFFFul) - 1, (Rip | 0xFFF) + 1];
        foreach (ulong target in targets)
        {
            _cache.Fill(TlbMode.SupervisorOverride, target, (byte*)Code, isGlobal: true);
        }

        _cache.FlushPage(Rip);

        Assert.Equal(0ul, Find(TlbMode.SupervisorOverride, targets[0]));
        Assert.Equal(0ul, Find(TlbMode.SupervisorOverride, targets[1]));
        Assert.Equal(Code, Find(TlbMode.SupervisorOverride, targets[2]));
        Assert.Equal(Code, Find(TlbMode.SupervisorOverride, targets[3]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Switch_of_the_address_space_keeps_global_supervisor_code_only(bool isGlobal)
    {
        _cache.Fill(TlbMode.User, Rip, (byte*)Code, isGlobal);
        _cache.Fill(TlbMode.Supervisor, Rip, (byte*)Code, isGlobal);

        _cache.FlushNonGlobal();

        Assert.Equal(0ul, Find(TlbMode.User, Rip));
        Assert.Equal(isGlobal ? Code : 0ul, Find(TlbMode.Supervisor, Rip));
    }

    [Fact]
    public void Legacy_target_is_found_in_its_segment_and_dropped_with_its_page()
    {
        const ulong OtherSegment = 0x10ul << 32;
        var cache = new JumpCache(_start, (ulong*)(_start + EpochsAt), _start + ReturnsAt, isLegacy: true);
        cache.Fill(TlbMode.User, OtherSegment | LowRip, (byte*)Code, isGlobal: false);

        Assert.Equal(0ul, Find(TlbMode.User, LowRip));
        Assert.Equal(Code, Find(TlbMode.User, OtherSegment | LowRip));

        cache.FlushPage(LowRip & ~0xFFFul);

        Assert.Equal(0ul, Find(TlbMode.User, OtherSegment | LowRip));
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 2)]
    public void Legacy_cache_is_flushed_once_while_no_such_code_runs(bool isRunning, int count)
    {
        var cache = new JumpCache(_start, (ulong*)(_start + EpochsAt), _start + ReturnsAt, isLegacy: true)
        {
            IsRunning = isRunning,
        };
        cache.Fill(TlbMode.User, LowRip, (byte*)Code, isGlobal: false);
        ulong before = cache.Epoch(TlbMode.User);

        cache.FlushNonGlobal();
        cache.FlushNonGlobal();

        Assert.Equal(0ul, Find(TlbMode.User, LowRip));
        Assert.Equal(before + (ulong)count, cache.Epoch(TlbMode.User));
    }

    [Fact]
    public void Flush_after_many_targets_leaves_none()
    {
        for (ulong i = 0; i < 5000; i++)
        {
            _cache.Fill(TlbMode.User, Rip + (i * 7), (byte*)Code, isGlobal: false);
        }

        _cache.FlushAll();

        for (ulong i = 0; i < 5000; i++)
        {
            Assert.Equal(0ul, Find(TlbMode.User, Rip + (i * 7)));
        }
    }

    private static ulong SlotOf(ulong rip)
        => (rip + BitOperations.RotateRight(rip, JumpCache.FoldBits)) & JumpCache.SlotBits;

    private ulong Find(int mode, ulong rip)
    {
        ulong* table = (ulong*)(_start + (mode * JumpCache.TableBytes));
        for (ulong way = 0; way < JumpCache.Ways; way++)
        {
            ulong* entry = table + ((SlotOf(rip) + (way * JumpCache.SlotCount)) * JumpCache.Words);
            if (entry[0] + rip == 0)
            {
                return entry[1];
            }
        }

        return 0;
    }
}
