using System.IO;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Link;

/// <summary>A link, or an attempt at one, is over. An <see cref="IOException"/>: SslStream passes it on.</summary>
internal sealed class LinkEndException(LinkLoss loss, string message) : IOException(message)
{
    /// <summary>How it ended.</summary>
    public LinkLoss Loss => loss;
}
