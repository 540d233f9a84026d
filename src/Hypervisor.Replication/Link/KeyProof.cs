using System;
using System.IO;
using System.Security.Cryptography;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Link;

/// <summary>How the two ends of a TLS connection prove that they know the pre-shared key (FORMATS.md).</summary>
/// <remarks>
/// <code>
/// caller → called   magic 8, nonce 32
/// called → caller   nonce 32
/// caller → called   HMAC-SHA256(key, label "caller" | caller's nonce | called's nonce
///                       | SHA-256(caller's certificate) | SHA-256(called's certificate))
/// called → caller   the same with label "called"
/// </code>
/// Why this binds the key to this very connection: TLS 1.3 ends with a signature of each side, by the key of the
/// certificate that it showed, over all that was said. So who is at the other end of this connection owns the
/// certificate that this side saw. A man in the middle has a connection to each side and must show a certificate on
/// each, of which he owns the key: he cannot show the other side's. The caller then proves over (caller's, his own),
/// the called over (his own, called's): neither proof holds on the other connection, and without the key he can make
/// none. Certificates and nonces are new for every connection, so nothing can be kept and said again; the labels keep
/// one role's proof from being sent back as the other's.
/// <para>
/// The caller proves first: whoever can reach the listening port gets no value made with the key. A side that
/// pretends to be the standby gets one, which is why the key must be too long to be guessed.
/// </para>
/// </remarks>
internal static class KeyProof
{
    private const int NonceBytes = 32;
    private const int DigestBytes = SHA256.HashSizeInBytes;

    private static ReadOnlySpan<byte> Magic => "HVPSK\0\0\u0001"u8;

    private static ReadOnlySpan<byte> CallerLabel => "hv link psk 1 caller"u8;

    private static ReadOnlySpan<byte> CalledLabel => "hv link psk 1 called"u8;

    /// <summary>The caller's side.</summary>
    /// <param name="tls">The stream, encrypted.</param>
    /// <param name="key">The pre-shared key.</param>
    /// <param name="caller">The caller's certificate as this side knows it, DER.</param>
    /// <param name="called">The called side's certificate as this side sees it, DER.</param>
    /// <exception cref="LinkEndException">The peer does not know the key.</exception>
    public static void Call(Stream tls, byte[] key, byte[] caller, byte[] called)
    {
        Span<byte> nonces = stackalloc byte[2 * NonceBytes];
        RandomNumberGenerator.Fill(nonces[..NonceBytes]);
        tls.Write([.. Magic, .. nonces[..NonceBytes]]);
        TlsHandshake.ReceiveAll(tls, nonces[NonceBytes..]);
        tls.Write(Prove(key, CallerLabel, nonces, caller, called));
        Verify(tls, Prove(key, CalledLabel, nonces, caller, called));
    }

    /// <summary>The called side; the parameters are those of <see cref="Call"/>.</summary>
    /// <exception cref="LinkEndException">The peer does not know the key.</exception>
    public static void Answer(Stream tls, byte[] key, byte[] caller, byte[] called)
    {
        Span<byte> hello = stackalloc byte[Magic.Length + NonceBytes];
        TlsHandshake.ReceiveAll(tls, hello);
        if (!hello.StartsWith(Magic))
        {
            throw new LinkEndException(LinkLoss.Broken, "peer speaks TLS, but proves no key");
        }

        Span<byte> nonces = stackalloc byte[2 * NonceBytes];
        hello[Magic.Length..].CopyTo(nonces);
        RandomNumberGenerator.Fill(nonces[NonceBytes..]);
        tls.Write(nonces[NonceBytes..]);
        Verify(tls, Prove(key, CallerLabel, nonces, caller, called));
        tls.Write(Prove(key, CalledLabel, nonces, caller, called));
    }

    private static void Verify(Stream tls, ReadOnlySpan<byte> expected)
    {
        Span<byte> proof = stackalloc byte[DigestBytes];
        TlsHandshake.ReceiveAll(tls, proof);
        if (!CryptographicOperations.FixedTimeEquals(proof, expected))
        {
            throw new LinkEndException(LinkLoss.Broken, "peer has another key, or somebody stands between");
        }
    }

    private static byte[] Prove(
        byte[] key, ReadOnlySpan<byte> label, ReadOnlySpan<byte> nonces, byte[] caller, byte[] called)
    {
        byte[] said = [.. label, .. nonces, .. SHA256.HashData(caller), .. SHA256.HashData(called)];
        return HMACSHA256.HashData(key, said);
    }
}
