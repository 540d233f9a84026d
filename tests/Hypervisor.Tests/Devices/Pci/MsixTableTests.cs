using System.Collections.Generic;
using Hypervisor.Devices.Pci;
using Xunit;

namespace Hypervisor.Tests.Devices.Pci;

public sealed class MsixTableTests
{
    private readonly List<(ulong Address, uint Data)> _sent = [];
    private readonly MsixTable _table;

    public MsixTableTests() => _table = new MsixTable(70, (address, data) => _sent.Add((address, data)));

    [Fact]
    public void Nothing_is_sent_or_kept_while_msix_is_off()
    {
        Unmask(0);
        _table.Raise(0);
        _table.Control(isEnabled: true, isFunctionMasked: false);

        Assert.Empty(_sent);
    }

    [Fact]
    public void Vector_sends_its_own_message()
    {
        _table.Control(isEnabled: true, isFunctionMasked: false);
        _table.WriteMmio((69 * 16) + 4, 4, 0x1);
        Unmask(69);
        _table.Raise(69);

        Assert.Equal([(0x1_FEE0_0000UL, 69u)], _sent);
    }

    [Fact]
    public void Masked_vector_is_pending_until_unmasked_and_is_sent_once()
    {
        _table.Control(isEnabled: true, isFunctionMasked: false);
        _table.Raise(66);
        _table.Raise(66);

        Assert.Empty(_sent);
        Assert.Equal(4UL, _table.ReadMmio(MsixTable.PendingOffset + 8, 8));
        Unmask(66);
        Assert.Single(_sent);
        Assert.Equal(0UL, _table.ReadMmio(MsixTable.PendingOffset + 8, 8));
    }

    [Fact]
    public void Function_mask_holds_every_vector()
    {
        Unmask(1);
        _table.Control(isEnabled: true, isFunctionMasked: true);
        _table.Raise(1);
        Assert.Empty(_sent);

        _table.Control(isEnabled: true, isFunctionMasked: false);

        Assert.Equal([(0xFEE0_0000UL, 1u)], _sent);
    }

    [Fact]
    public void Pending_bits_and_reserved_bits_are_read_only()
    {
        _table.WriteMmio(MsixTable.PendingOffset, 8, ulong.MaxValue);
        _table.WriteMmio(12, 4, uint.MaxValue);

        Assert.Equal(0UL, _table.ReadMmio(MsixTable.PendingOffset, 8));
        Assert.Equal(1UL, _table.ReadMmio(12, 4));
        Assert.Equal(0UL, _table.ReadMmio(70 * 16, 8));
    }

    private void Unmask(int vector)
    {
        ulong entry = (ulong)vector * 16;
        _table.WriteMmio(entry, 4, 0xFEE0_0000);
        _table.WriteMmio(entry + 8, 4, (uint)vector);
        _table.WriteMmio(entry + 12, 4, 0);
    }
}
