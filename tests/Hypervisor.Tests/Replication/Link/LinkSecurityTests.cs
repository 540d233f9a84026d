using System;
using System.Diagnostics.CodeAnalysis;
using System.IO;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Standby;
using Xunit;

namespace Hypervisor.Tests.Replication.Link;

/// <summary>Who gets through the handshake of a link, and who does not.</summary>
public sealed class LinkSecurityTests : IDisposable
{
    private const string ByKey = "this side expects TLS 1.3 with the key in --psk-file";
    private const string ByCertificate = "this side expects TLS 1.3 with a certificate that an authority in --tls-ca";
    private const int ChangedBytes = 1000; // the caller says about as much: a hello, its certificate, a proof
    private const int ChangedStep = 7;
    private static readonly byte[] s_key = "a pre-shared key of this test, 32+"u8.ToArray();

    [SuppressMessage("Security", "CA5359", Justification = "An attacker takes any certificate.")]
    private static readonly RemoteCertificateValidationCallback s_anybody = static (_, _, _, _) => true;

    private readonly TestAuthority _authority = new();
    private readonly TestAuthority _stranger = new("CN=another authority");
    private readonly LinkPair _pair = new();

    public void Dispose()
    {
        _pair.Dispose();
        _authority.Dispose();
        _stranger.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Halves_that_agree_talk_in_both_directions(bool isByKey)
    {
        Assert.Equal((null, null), _pair.Secure(Half(isByKey), Half(isByKey)));

        AssertTalk(_pair.CallerStream, _pair.CalledStream);
        AssertTalk(_pair.CalledStream, _pair.CallerStream);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Nothing_that_is_sent_can_be_read_on_the_way(bool isByKey)
    {
        using var relay = new Relay(_pair);
        Assert.Equal((null, null), relay.Secure(Half(isByKey), LinkSecurity.HandshakeTimeMax));
        byte[] secret = new byte[64];
        secret.AsSpan().Fill(0x5A);

        relay.Caller.Send(secret);
        _ = relay.Called.Receive(secret, long.MaxValue);

        Assert.True(relay.Seen.Length > secret.Length);
        Assert.Equal(-1, relay.Seen.AsSpan().IndexOf(secret.AsSpan(0, 16)));
    }

    [Fact]
    public void Caller_with_a_certificate_of_another_authority_is_refused()
    {
        LinkSecurity caller = _stranger.Half(_authority);

        (string? atCaller, string? atCalled) = _pair.Secure(caller, _authority.Half());

        Assert.StartsWith("peer's certificate 'CN=half' is not trusted (", atCalled, StringComparison.Ordinal);
        Assert.Contains(ByCertificate, atCalled, StringComparison.Ordinal);
        Assert.Contains(ByCertificate, atCaller, StringComparison.Ordinal);
    }

    [Fact]
    public void Called_side_with_a_certificate_of_another_authority_is_refused()
    {
        // The called side may be content: the caller has proved who it is before it looks at the other certificate.
        string? atCaller = _pair.Secure(_authority.Half(), _stranger.Half(_authority)).Caller;

        Assert.StartsWith("peer's certificate 'CN=half' is not trusted (", atCaller, StringComparison.Ordinal);
    }

    [Fact]
    public void Name_in_a_refused_certificate_cannot_write_to_the_terminal()
    {
        LinkSecurity caller = LinkSecurity.Certificates(
            [_stranger.Sign("CN=\"x\u001b[2J\ny" + new string('z', 200) + "\"")], [_authority.Certificate]);

        string? fault = _pair.Secure(caller, _authority.Half()).Called;

        Assert.Contains("x?[2J?y", fault, StringComparison.Ordinal);
        Assert.DoesNotContain(fault!, char.IsControl);
        Assert.DoesNotContain(new string('z', 120), fault, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Handshake_with_a_bit_changed_on_the_way_ends_in_a_line_at_both_sides(bool isByKey)
    {
        LinkSecurity half = Half(isByKey);
        for (int at = 0; at < ChangedBytes; at += ChangedStep)
        {
            // A starved host may need longer than that to get to the byte.
            using var quick = new Relay(new LinkPair(), at);
            (string? atCaller, string? atCalled) = quick.Secure(half, TimeSpan.FromMilliseconds(200));
            using var slow = quick.Seen.Length <= at ? new Relay(new LinkPair(), at) : null;
            if (slow is not null)
            {
                (atCaller, atCalled) = slow.Secure(half, TimeSpan.FromSeconds(10));
            }

            if ((slow ?? quick).Seen.Length <= at)
            {
                Assert.True(at > ChangedBytes / 2, $"the caller said {at} bytes only");
                break;
            }

            Assert.False(atCaller is null && atCalled is null, $"byte {at} was changed and nobody saw it");
        }
    }

    [Fact]
    public void Expired_certificate_is_refused()
    {
        var past = new DateTimeOffset(2021, 1, 1, 0, 0, 0, TimeSpan.Zero);
        LinkSecurity caller = LinkSecurity.Certificates([_authority.Sign("CN=half", past)], [_authority.Certificate]);

        Assert.StartsWith(
            "peer's certificate 'CN=half' is not trusted (",
            _pair.Secure(caller, _authority.Half()).Called,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Caller_without_a_certificate_is_refused()
    {
        var caller = new Aside(() => TryTls(_pair.Caller, SslProtocols.Tls13));

        string? fault = LinkPair.Fault(() => Answer(_authority.Half()));

        Assert.StartsWith("peer shows no certificate", fault, StringComparison.Ordinal);
        caller.Join();
    }

    [Theory]
    [InlineData(true, SslProtocols.Tls12)]
    [InlineData(false, SslProtocols.Tls12)]
    public void Older_TLS_is_refused(bool isByKey, SslProtocols version)
    {
        bool isContent = true;
        var caller = new Aside(() => isContent = TryTls(_pair.Caller, version, _authority.Sign("CN=half")));

        string? fault = LinkPair.Fault(() => Answer(Half(isByKey)));

        Assert.Contains("this side expects TLS 1.3", fault, StringComparison.Ordinal);
        caller.Join();
        Assert.False(isContent);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(33)]
    public void Other_key_is_refused_at_both_sides(int at)
    {
        byte[] other = (byte[])s_key.Clone();
        other[at] ^= 1;

        (string? atCaller, string? atCalled) = _pair.Secure(
            LinkSecurity.PreSharedKey(other), LinkSecurity.PreSharedKey(s_key));

        Assert.Equal($"peer has another key, or somebody stands between; {ByKey}", atCalled);
        Assert.Equal($"peer hung up in the handshake; {ByKey}", atCaller);
    }

    [Fact]
    public void Man_in_the_middle_who_relays_the_proofs_fails()
    {
        using var far = new LinkPair();
        LinkSecurity half = LinkSecurity.PreSharedKey(s_key);
        string? atCaller = null;
        var caller = new Aside(() => atCaller = LinkPair.Fault(() => half.Secure(
            _pair.Caller, LinkRole.Caller, _pair.Clock, LinkSecurity.HandshakeTimeMax).Dispose()));
        var middle = new Aside(() => RelayPlaintext(_pair.Called, far.Caller));

        string? atCalled = LinkPair.Fault(() => half.Secure(
            far.Called, LinkRole.Called, far.Clock, LinkSecurity.HandshakeTimeMax).Dispose());

        caller.Join();
        middle.Join();
        Assert.Equal($"peer has another key, or somebody stands between; {ByKey}", atCalled);
        Assert.Contains(ByKey, atCaller, StringComparison.Ordinal);
    }

    [Fact]
    public void Proof_that_is_sent_back_is_none()
    {
        LinkSecurity half = LinkSecurity.PreSharedKey(s_key);
        var echo = new Aside(() => EchoProof(_pair.Called));

        string? fault = LinkPair.Fault(() => half.Secure(
            _pair.Caller, LinkRole.Caller, _pair.Clock, LinkSecurity.HandshakeTimeMax).Dispose());

        echo.Join();
        Assert.Equal($"peer has another key, or somebody stands between; {ByKey}", fault);
    }

    [Fact]
    public void Key_and_certificates_do_not_meet()
    {
        (string? atCaller, string? atCalled) = _pair.Secure(LinkSecurity.PreSharedKey(s_key), _authority.Half());

        Assert.Contains(ByKey, atCaller, StringComparison.Ordinal);
        Assert.Contains(ByCertificate, atCalled, StringComparison.Ordinal);

        using var other = new LinkPair();
        (atCaller, atCalled) = other.Secure(_authority.Half(), LinkSecurity.PreSharedKey(s_key));

        Assert.Contains(ByCertificate, atCaller, StringComparison.Ordinal);
        Assert.Contains(ByKey, atCalled, StringComparison.Ordinal);
    }

    [Fact]
    public void Peer_that_lets_the_handshake_trickle_is_given_up_at_the_deadline()
    {
        using var end = new CancellationTokenSource();
        var trickle = new Aside(() => Trickle(_pair.Caller, end.Token));

        long before = _pair.Clock.NowNanos;
        string? fault = LinkPair.Fault(() => _ = _authority.Half().Secure(
            _pair.Called, LinkRole.Called, _pair.Clock, TimeSpan.FromMilliseconds(300)));

        Assert.StartsWith("peer does not get on", fault, StringComparison.Ordinal);
        Assert.True(_pair.Clock.NowNanos - before >= 300_000_000);
        end.Cancel();
        trickle.Join();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Bytes_from_outside_end_the_link_and_are_not_taken(bool isWhole)
    {
        Assert.Equal((null, null), _pair.Secure(_authority.Half(), _authority.Half()));
        byte[] record = new byte[5 + 64];
        new byte[] { 23, 3, 3, 0, 64 }.CopyTo(record, 0);
        _pair.Caller.Send(record, isWhole ? record.Length : 20, SocketFlags.None);
        _pair.Caller.Dispose();

        var end = Assert.Throws<LinkEndException>(() => _pair.CalledStream.Receive(record, long.MaxValue));

        // A process that dies in the middle of a record closed the link: the standby need not wait (LinkLoss).
        Assert.Equal(isWhole ? LinkLoss.Broken : LinkLoss.ClosedByPeer, end.Loss);
    }

    [Fact]
    public void Peer_that_speaks_no_TLS_is_told_apart()
    {
        _pair.Caller.Send("HVRP"u8);

        Assert.Equal(
            $"peer does not speak TLS; {ByKey}", LinkPair.Fault(() => Answer(LinkSecurity.PreSharedKey(s_key))));
    }

    private static void AssertTalk(PeerStream from, PeerStream to)
    {
        byte[] sent = new byte[300_000];
        new Random(7).NextBytes(sent);
        var sending = new Aside(() => from.Send(sent));
        byte[] got = new byte[sent.Length];
        for (int done = 0; done < got.Length;)
        {
            done += to.Receive(got.AsSpan(done), long.MaxValue);
        }

        sending.Join();
        Assert.True(sent.AsSpan().SequenceEqual(got));
    }

    private static bool TryTls(Socket socket, SslProtocols version, X509Certificate2? certificate = null)
    {
        using var tls = new SslStream(new NetworkStream(socket, ownsSocket: true));
        try
        {
            tls.AuthenticateAsClient(new SslClientAuthenticationOptions
            {
                EnabledSslProtocols = version,
                ClientCertificates = certificate is null ? [] : [certificate],
                RemoteCertificateValidationCallback = s_anybody,
            });
            return true;
        }
        catch (Exception e) when (e is AuthenticationException or IOException)
        {
            return false;
        }
    }

    // TLS with certificates of its own on both sides, and every byte of the proofs passed on as it came.
    private void RelayPlaintext(Socket caller, Socket called)
    {
        using X509Certificate2 own = _stranger.Sign("CN=hv pre-shared key");
        using SslStream near = AsServer(caller, own);
        using SslStream far = new(new NetworkStream(called, ownsSocket: true));
        far.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls13,
            ClientCertificates = [own],
            RemoteCertificateValidationCallback = s_anybody,
        });
        try
        {
            Pass(near, far, 40); // magic, nonce
            Pass(far, near, 32); // nonce
            Pass(near, far, 32); // proof
            Pass(far, near, 32);
        }
        catch (IOException)
        {
            // One of them hung up: so it must be.
        }
    }

    private void EchoProof(Socket caller)
    {
        using X509Certificate2 own = _stranger.Sign("CN=hv pre-shared key");
        using SslStream tls = AsServer(caller, own);
        byte[] hello = new byte[40];
        tls.ReadExactly(hello);
        tls.Write(hello.AsSpan(8));
        byte[] proof = new byte[32];
        tls.ReadExactly(proof);
        tls.Write(proof);
    }

    private static SslStream AsServer(Socket socket, X509Certificate2 own)
    {
        var tls = new SslStream(new NetworkStream(socket, ownsSocket: true));
        tls.AuthenticateAsServer(new SslServerAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls13,
            ServerCertificate = own,
            ClientCertificateRequired = true,
            RemoteCertificateValidationCallback = s_anybody,
        });
        return tls;
    }

    private static void Pass(SslStream from, SslStream to, int bytes)
    {
        byte[] passed = new byte[bytes];
        from.ReadExactly(passed);
        to.Write(passed);
    }

    // A record of 16 KiB, a byte at a time: each byte is progress, all of them are none.
    private static void Trickle(Socket socket, CancellationToken end)
    {
        try
        {
            socket.Send([22, 3, 1, 0x40, 0]);
            while (!end.WaitHandle.WaitOne(10))
            {
                socket.Send([1]);
            }
        }
        catch (SocketException)
        {
            // Given up.
        }
    }

    private LinkSecurity Half(bool isByKey) => isByKey ? LinkSecurity.PreSharedKey(s_key) : _authority.Half();

    private void Answer(LinkSecurity half)
        => _ = half.Secure(_pair.Called, LinkRole.Called, _pair.Clock, LinkSecurity.HandshakeTimeMax);
}
