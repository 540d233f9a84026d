using System;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Session;

/// <content>Copies of the guest as of the last applied epoch, for drills.</content>
internal sealed partial class StandbyWorker
{
    private StagedEpoch? _latest; // of what is in RAM and on the disks; its sections live while the rim is at work

    public void CopyGuest(GuestCopy copy) => _orders.Post(new Order(OrderKind.CopyGuest, Copy: copy));

    private void DoCopyGuest(GuestCopy copy)
    {
        GuestRam from = _machine!.Ram, to = copy.Machine.Ram;
        if (_latest is null || to.LengthBytes != from.LengthBytes)
        {
            throw new StateFormatException($"RAM: the copy has {to.LengthBytes} bytes, the standby {from.LengthBytes}");
        }

        copy.FreezeDisks();
        for (long page = 0; page < from.PageCount; page++)
        {
            ReadOnlySpan<byte> bytes = from.ReadOnlyBytes(page * PageKernels.PageBytes, PageKernels.PageBytes);
            if (!PageKernels.IsZero(bytes))
            {
                bytes.CopyTo(to.WritableBytes(page * PageKernels.PageBytes, PageKernels.PageBytes));
            }
        }

        SectionCapture.Load(copy.Machine.Components, Gather(_latest));
    }
}
