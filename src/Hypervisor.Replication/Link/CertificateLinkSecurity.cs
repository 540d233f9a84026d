using System;
using System.IO;
using System.Linq;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Link;

/// <summary>TLS 1.3 with a certificate on each side, both signed by the pair's own authority.</summary>
/// <remarks>
/// The authority is the pair's identity: whoever has a certificate of it is a half of the pair. Host names are not
/// compared, because either half may be reached by an address that its certificate does not know.
/// </remarks>
internal sealed class CertificateLinkSecurity : LinkSecurity
{
    private const int NameLengthMax = 100; // of a line for people

    private readonly SslStreamCertificateContext _own;
    private readonly X509Certificate2Collection _authorities;

    /// <summary>Takes the certificates over.</summary>
    public CertificateLinkSecurity(X509Certificate2Collection own, X509Certificate2Collection authorities)
        : base("TLS 1.3 with a certificate that an authority in --tls-ca signed")
    {
        // Offline: what is missing is not looked for on the net.
        var between = new X509Certificate2Collection(own);
        between.RemoveAt(0);
        _own = SslStreamCertificateContext.Create(own[0], between, offline: true);
        _authorities = authorities;
    }

    /// <summary>
    /// What the called side sends once it trusts the caller. In TLS 1.3 the caller's handshake ends before the other
    /// side has looked at its certificate; without this a refusal would look like a link that broke.
    /// </summary>
    internal static ReadOnlySpan<byte> Accepted => "HVTLS\0\0\u0001"u8;

    private protected override Stream Handshake(SocketStream below, LinkRole role)
    {
        SslStream tls = TlsHandshake.Run(below, role, _own, Policy(), FindFault);
        try
        {
            if (role == LinkRole.Called)
            {
                tls.Write(Accepted);
                return tls;
            }

            Span<byte> answer = stackalloc byte[Accepted.Length];
            TlsHandshake.ReceiveAll(tls, answer);
            return answer.SequenceEqual(Accepted) ? tls : throw new LinkEndException(
                LinkLoss.Broken, "peer speaks TLS, but not this link's");
        }
        catch
        {
            tls.Dispose();
            throw;
        }
    }

    private static string? FindFault(X509Certificate peer, X509Chain? chain, SslPolicyErrors errors)
    {
        if ((errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None)
        {
            return null;
        }

        // A stranger wrote that name: it may not play with the terminal that shows it.
        string name = string.Concat(peer.Subject.Take(NameLengthMax).Select(c => char.IsControl(c) ? '?' : c));
        string why = chain is { ChainStatus: [var first, ..] } ? $" ({first.StatusInformation.TrimEnd('.')})" : "";
        return $"peer's certificate '{name}' is not trusted{why}";
    }

    private X509ChainPolicy Policy()
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck, // nothing is asked online in the middle of a failover
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(_authorities);
        return policy;
    }
}
