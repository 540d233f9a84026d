using System;
using Hypervisor.Core;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Virtio;

/// <summary>A kind of virtio device, behind whatever transport. Called with the bus lock held.</summary>
public abstract class VirtioDevice
{
    private VirtioPciTransport? _transport;

    /// <summary>Identity of its section, which holds the transport and the queues, too.</summary>
    public abstract SectionId Section { get; }

    /// <summary>Device number. Spec: VIRTIO 1.2, chapter 5.</summary>
    public abstract ushort DeviceType { get; }

    /// <summary>PCI class code, 24 bits.</summary>
    public abstract uint ClassCode { get; }

    /// <summary>Device feature bits (0-23 and 50-63); the transport adds its own.</summary>
    public abstract ulong DeviceFeatures { get; }

    /// <summary>Number of queues.</summary>
    public abstract int QueueCount { get; }

    /// <summary>Most descriptors in a queue; a power of two.</summary>
    public abstract ushort QueueSizeMax { get; }

    /// <summary>Size of the device's configuration structure.</summary>
    public abstract int ConfigBytes { get; }

    /// <summary>The transport that it is plugged into.</summary>
    protected VirtioPciTransport Transport
    {
        get
        {
            Check.That(_transport is not null);
            return _transport;
        }
    }

    /// <summary>Fills the configuration structure.</summary>
    public abstract void ReadConfig(Span<byte> config);

    /// <summary>Takes a byte that the driver wrote to the configuration structure.</summary>
    public virtual void WriteConfig(int offset, byte value)
    {
    }

    /// <summary>Whether a choice among the offered features makes sense. Spec: VIRTIO 1.2, section 2.2.2.</summary>
    public virtual bool AreFeaturesSound(ulong features) => true;

    /// <summary>The driver and the device agree on the features.</summary>
    public virtual void OnFeaturesAgreed()
    {
    }

    /// <summary>Looks for work in a queue; called only while the device is running and the queue is enabled.</summary>
    public abstract void ServiceQueue(int index);

    /// <summary>Forgets what is in flight in one queue.</summary>
    public abstract void OnQueueReset(int index);

    /// <summary>Back to power-on state; what is in flight is forgotten.</summary>
    public abstract void OnReset();

    /// <summary>After a load: issues the requests again that the section holds as in flight.</summary>
    public virtual void ResumeInFlight()
    {
    }

    /// <summary>Moves the device's own state through its section.</summary>
    public abstract void Transfer(ref StateCodec state);

    internal void Attach(VirtioPciTransport transport)
    {
        Check.That(_transport is null);
        _transport = transport;
    }
}
