using System;
using System.IO;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Hypervisor.Core;

namespace Hypervisor.Replication.Link;

/// <summary>TLS 1.3 whose two ends prove to each other, inside it, that they know a key.</summary>
/// <remarks>
/// .NET has none of TLS's own pre-shared key suites. So each side makes a certificate that lives as long as the
/// connection, and takes any certificate of the peer; then both exchange <see cref="KeyProof"/>s.
/// </remarks>
internal sealed class KeyLinkSecurity : LinkSecurity
{
    private const string Name = "CN=hv pre-shared key";
    private readonly byte[] _key;

    /// <summary>Copies the key.</summary>
    public KeyLinkSecurity(ReadOnlySpan<byte> key)
        : base("TLS 1.3 with the key in --psk-file")
    {
        Check.That(key.Length >= KeyBytesMin);
        _key = key.ToArray();
    }

    private protected override Stream Handshake(SocketStream below, LinkRole role)
    {
        using X509Certificate2 own = NewCertificate();
        SslStream tls = TlsHandshake.Run(
            below, role, SslStreamCertificateContext.Create(own, null, offline: true), null, static (_, _, _) => null);
        try
        {
            byte[] ownRaw = own.RawData;
            byte[] peerRaw = tls.RemoteCertificate!.GetRawCertData();
            if (role == LinkRole.Caller)
            {
                KeyProof.Call(tls, _key, ownRaw, peerRaw);
            }
            else
            {
                KeyProof.Answer(tls, _key, peerRaw, ownRaw);
            }

            return tls;
        }
        catch
        {
            tls.Dispose();
            throw;
        }
    }

    private static X509Certificate2 NewCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(Name, key, HashAlgorithmName.SHA256);

        // Nobody looks at the dates; they only have to be valid ones.
        return request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(100));
    }
}
