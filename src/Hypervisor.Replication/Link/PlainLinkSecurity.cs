using System.IO;

namespace Hypervisor.Replication.Link;

/// <summary>No handshake and no secrets.</summary>
internal sealed class PlainLinkSecurity() : LinkSecurity("a plain link, without --tls-cert or --psk-file")
{
    private protected override Stream Handshake(SocketStream below, LinkRole role) => below;
}
