using System.Collections.Generic;
using System.Text;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class ConsoleStitchTests
{
    private readonly List<byte> _seen = [];
    private readonly ConsoleStitch _console;

    public ConsoleStitchTests() => _console = new ConsoleStitch(bytes => _seen.AddRange(bytes));

    private string Seen => Encoding.ASCII.GetString([.. _seen]);

    [Fact]
    public void Output_seen_before_is_dropped_and_the_rest_follows()
    {
        _console.OnPrimary("abcdef"u8);
        _console.OnPrimaryEnded();
        _console.OnTakeover(4);
        _console.OnStandby("e"u8);
        _console.OnStandby("fgh"u8);
        _console.OnStandby("i"u8);

        Assert.Equal("abcdefghi", Seen);
        Assert.Null(_console.Fault);
        Assert.Equal(2, _console.RepeatedBytes);
    }

    [Fact]
    public void Standby_waits_until_all_of_the_primary_is_read()
    {
        _console.OnTakeover(2);
        _console.OnStandby("cdef"u8);
        _console.OnPrimary("ab"u8);
        Assert.Equal("ab", Seen);

        _console.OnPrimary("cd"u8);
        _console.OnPrimaryEnded();

        Assert.Equal("abcdef", Seen);
        Assert.Null(_console.Fault);
    }

    [Fact]
    public void Hole_is_found()
    {
        _console.OnPrimary("abc"u8);
        _console.OnPrimaryEnded();
        _console.OnTakeover(5);
        _console.OnStandby("f"u8);

        Assert.Contains("lost", _console.Fault!, System.StringComparison.Ordinal);
    }

    [Fact]
    public void Output_that_no_epoch_implies_is_found()
    {
        _console.OnPrimary("abcX"u8);
        _console.OnPrimaryEnded();
        _console.OnTakeover(2);
        _console.OnStandby("cdef"u8);

        Assert.Contains("byte 3 differs", _console.Fault!, System.StringComparison.Ordinal);
    }

    [Fact]
    public void Takeover_with_nothing_to_repeat_just_goes_on()
    {
        _console.OnPrimary("abc"u8);
        _console.OnPrimaryEnded();
        _console.OnTakeover(3);
        _console.OnStandby("def"u8);

        Assert.Equal("abcdef", Seen);
        Assert.Equal(0, _console.RepeatedBytes);
    }
}
