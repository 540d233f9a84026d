using System;
using Hypervisor.Backends.Block;

namespace Hypervisor.Devices.Virtio;

/// <summary>Another size for a virtio disk, from the wish to the guest's interrupt; one at a time.</summary>
/// <remarks>
/// What is under way is no state: a write of the disk's size is part of an epoch as any write is, and a device that
/// finds its disk of another size when it is loaded tells its guest.
/// </remarks>
internal sealed class VirtioBlkResize(IBlockDevice disk, IEventLoop loop, Action onResized)
{
    private bool _isUnderWay;

    /// <summary>Begins soon, unless one is under way. Any thread.</summary>
    public void Post(long lengthBytes) => loop.Post(new Step(() => Begin(lengthBytes)));

    private void Begin(long lengthBytes)
    {
        if (_isUnderWay)
        {
            return;
        }

        _isUnderWay = true;
        disk.Submit(new BlockRequest(request => loop.Post(new Step(() => End(request.Status))))
        {
            Operation = BlockOperation.Resize,
            LengthBytes = lengthBytes,
        });
    }

    private void End(BlockStatus status)
    {
        _isUnderWay = false;
        if (status == BlockStatus.Ok)
        {
            onResized();
        }
    }

    private sealed class Step(Action run) : IPostedWork
    {
        public void RunPosted() => run();
    }
}
