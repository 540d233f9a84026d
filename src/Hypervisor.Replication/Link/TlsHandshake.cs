using System;
using System.IO;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Link;

/// <summary>TLS 1.3 and nothing older, with a certificate on each side.</summary>
internal static class TlsHandshake
{
    /// <summary>Makes a TLS stream over <paramref name="below"/>, and owns it.</summary>
    /// <param name="below">The connected socket.</param>
    /// <param name="role">The caller is TLS's client.</param>
    /// <param name="own">This side's certificate, with its key.</param>
    /// <param name="policy">How the peer's chain is built; null: it is not looked at.</param>
    /// <param name="findFault">What is wrong with the peer's certificate; null: nothing.</param>
    public static SslStream Run(
        SocketStream below,
        LinkRole role,
        SslStreamCertificateContext own,
        X509ChainPolicy? policy,
        Func<X509Certificate, X509Chain?, SslPolicyErrors, string?> findFault)
    {
        string? fault = null;
        below.AwaitTls();
        var tls = new SslStream(below);
        try
        {
            bool Validate(object sender, X509Certificate? peer, X509Chain? chain, SslPolicyErrors errors)
            {
                fault = peer is null ? "peer shows no certificate" : findFault(peer, chain, errors);
                return fault is null;
            }

            // No resumption: a resumed link would not show its certificates again.
            if (role == LinkRole.Caller)
            {
                tls.AuthenticateAsClient(new SslClientAuthenticationOptions
                {
                    EnabledSslProtocols = SslProtocols.Tls13,
                    ClientCertificateContext = own,
                    CertificateChainPolicy = policy,
                    CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                    RemoteCertificateValidationCallback = Validate,
                    AllowRenegotiation = false,
                    AllowTlsResume = false,
                });
            }
            else
            {
                tls.AuthenticateAsServer(new SslServerAuthenticationOptions
                {
                    EnabledSslProtocols = SslProtocols.Tls13,
                    ServerCertificateContext = own,
                    ClientCertificateRequired = true,
                    CertificateChainPolicy = policy,
                    CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                    RemoteCertificateValidationCallback = Validate,
                    AllowRenegotiation = false,
                    AllowTlsResume = false,
                });
            }

            return tls;
        }
        catch (AuthenticationException) when (fault is not null)
        {
            tls.Dispose();
            throw new LinkEndException(LinkLoss.Broken, fault);
        }
        catch
        {
            tls.Dispose();
            throw;
        }
    }

    /// <summary>Fills <paramref name="target"/>.</summary>
    /// <exception cref="LinkEndException">The peer closed before.</exception>
    public static void ReceiveAll(Stream stream, Span<byte> target)
    {
        while (!target.IsEmpty)
        {
            int count = stream.Read(target);
            if (count == 0)
            {
                throw new LinkEndException(LinkLoss.ClosedByPeer, "peer closed the link in the handshake");
            }

            target = target[count..];
        }
    }
}
