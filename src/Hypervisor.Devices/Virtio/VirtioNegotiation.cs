using Hypervisor.Core.State;

namespace Hypervisor.Devices.Virtio;

/// <summary>
/// Which features the device offers and which of them the driver took; shared by transport, queues, device.
/// </summary>
public sealed class VirtioNegotiation(ulong offered)
{
    private ulong _accepted;

    /// <summary>What the device offers.</summary>
    public ulong Offered => offered;

    /// <summary>What the driver wrote; valid as a whole once FEATURES_OK is set.</summary>
    public ulong Accepted
    {
        get => _accepted;
        set => _accepted = value;
    }

    /// <summary>Whether the device can live with the driver's choice.</summary>
    public bool IsAcceptable => (_accepted & ~offered) == 0 && Has(VirtioFeature.Version1);

    /// <summary>Whether the driver took a feature.</summary>
    public bool Has(ulong feature) => (_accepted & feature) != 0;

    /// <summary>Moves the driver's choice through a section.</summary>
    public void Transfer(ref StateCodec state) => state.U64(ref _accepted);
}
