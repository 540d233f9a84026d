namespace Hypervisor.Devices.Virtio;

/// <summary>The rest of a queue that was too busy for one hold of the bus lock.</summary>
internal sealed class VirtioBlkService(VirtioBlk owner, int index) : IPostedWork
{
    /// <inheritdoc/>
    public void RunPosted()
    {
        if (owner.CanServe(index))
        {
            owner.ServiceQueue(index);
        }
    }
}
