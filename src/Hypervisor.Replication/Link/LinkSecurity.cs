using System;
using System.IO;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Link;

/// <summary>How two halves of a pair make sure of each other, and who else can read the link. Same on both.</summary>
public abstract class LinkSecurity
{
    /// <summary>A handshake that takes longer is given up; a few round trips and two signatures.</summary>
    internal static readonly TimeSpan HandshakeTimeMax = TimeSpan.FromSeconds(5);

    private const int NoticeMillis = 100; // how late the end of the handshake's time may be noticed
    private const int NanosPerMilli = 1_000_000;

    private protected LinkSecurity(string expects) => Expects = expects;

    /// <summary>Everybody between the two can read and change everything. For loopback.</summary>
    public static LinkSecurity Plain { get; } = new PlainLinkSecurity();

    /// <summary>Whether nobody between the two can read or change anything.</summary>
    public bool IsEncrypted => this is not PlainLinkSecurity;

    /// <summary>What this side takes from a peer, for a line about a mismatch.</summary>
    internal string Expects { get; }

    /// <summary>TLS 1.3 with a certificate on each side.</summary>
    /// <param name="own">
    /// This side's certificate with its private key, then those between it and the authority, if any.
    /// </param>
    /// <param name="authorities">Who may have signed the peer's certificate; nobody else may.</param>
    public static LinkSecurity Certificates(
        X509Certificate2Collection own, X509Certificate2Collection authorities)
        => new CertificateLinkSecurity(own, authorities);

    /// <summary>TLS 1.3 under a key that both sides know.</summary>
    /// <param name="key">At least <see cref="KeyBytesMin"/> bytes that nobody can guess.</param>
    public static LinkSecurity PreSharedKey(ReadOnlySpan<byte> key) => new KeyLinkSecurity(key);

    /// <summary>Shortest pre-shared key, in bytes.</summary>
    public const int KeyBytesMin = 32;

    /// <summary>
    /// Takes a connected socket over, and makes sure of the peer. Blocks for no longer than the given time; disposing
    /// the socket ends it.
    /// </summary>
    /// <exception cref="LinkEndException">Not the peer that is meant, or gone, or too slow.</exception>
    internal PeerStream Secure(Socket socket, LinkRole role, IHostClock clock, TimeSpan timeMax)
    {
        var below = new SocketStream(socket, clock);
        try
        {
            socket.NoDelay = true;
            below.SetTimeout(NoticeMillis);
            below.GiveUpNanos = clock.NowNanos + ((long)timeMax.TotalMilliseconds * NanosPerMilli);
            return new PeerStream(below, Handshake(below, role), Expects);
        }
        catch (Exception e) when (e is IOException or AuthenticationException or CryptographicException
            or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            below.Dispose();
            bool hasHungUp = below.HasEnded || e is LinkEndException { Loss: LinkLoss.ClosedByPeer };
            throw new LinkEndException(
                hasHungUp ? LinkLoss.ClosedByPeer : LinkLoss.Broken,
                $"{(hasHungUp ? "peer hung up in the handshake" : OneLine(e))}; this side expects {Expects}");
        }
    }

    /// <summary>The innermost message, which is the one that says something, on one line.</summary>
    internal static string OneLine(Exception error)
    {
        while (error is not LinkEndException && error.InnerException is { } inner)
        {
            error = inner;
        }

        return error.Message.ReplaceLineEndings(" ").TrimEnd('.', ' ');
    }

    /// <summary>The stream to use from now on.</summary>
    private protected abstract Stream Handshake(SocketStream below, LinkRole role);
}
