using Hypervisor.Devices.Chipset;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class TickDebtTests
{
    private int _pulses;
    private bool _isWaiting;

    [Fact]
    public void Edge_that_is_taken_at_once_leaves_the_rest_to_be_delivered()
    {
        var debt = new TickDebt(() => _isWaiting, () => _pulses++); // a vCPU on another thread takes each

        debt.Tick(3);

        Assert.Equal(3, _pulses);
    }

    [Fact]
    public void Edges_behind_one_that_waits_are_owed_and_come_one_by_one()
    {
        var debt = new TickDebt(() => _isWaiting, () =>
        {
            _pulses++;
            _isWaiting = true;
        });

        debt.Tick(3);
        Assert.Equal(1, _pulses);

        for (int taken = 2; taken <= 4; taken++)
        {
            _isWaiting = false;
            debt.OnTaken();
            Assert.Equal(taken <= 3 ? taken : 3, _pulses);
        }
    }
}
