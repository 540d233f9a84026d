using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Threading;
using Hypervisor.Core.State;
using Hypervisor.Replication.Failover;

namespace Hypervisor.Replication.Session;

/// <summary>A witness in etcd: one key, swapped by transactions that compare its whole value.</summary>
/// <remarks>
/// Through the JSON gateway (etcd documentation, "gRPC gateway", /v3). Reads are linearizable, so an answer is what a
/// majority of the cluster agrees on; a member that is cut off from it does not answer. An answer that is lost, late or
/// not understood is "unreachable": the caller then knows nothing (rule 27).
/// </remarks>
public sealed class EtcdWitness : Witness
{
    private const long AnswerBytesMax = 64 << 10;
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(1500); // below the core's own

    private readonly EtcdAddress _address;
    private readonly HttpClient _http;
    private readonly TimeSpan _patienceEach; // for all that one member is asked, log-in and second try included
    private readonly X509Certificate2Collection _authorities = [];
    private readonly X509Certificate2? _certificate;
    private int _endpoint; // the one that answered last
    private string? _token;

    /// <param name="address">Where the record is.</param>
    /// <exception cref="IOException">A certificate file cannot be read.</exception>
    /// <exception cref="CryptographicException">It does not hold what it should.</exception>
    public EtcdWitness(EtcdAddress address)
        : this(address, s_patience)
    {
    }

    /// <param name="address">Where the record is.</param>
    /// <param name="patience">How long a question may take in all.</param>
    internal EtcdWitness(EtcdAddress address, TimeSpan patience)
    {
        _address = address ?? throw new ArgumentNullException(nameof(address));
        _patienceEach = patience / address.Endpoints.Count;
        var tls = new SslClientAuthenticationOptions();
        if (address.AuthorityFile is { } authorities)
        {
            _authorities.ImportFromPemFile(authorities);
            tls.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            tls.CertificateChainPolicy.CustomTrustStore.AddRange(_authorities);
        }

        if (address.CertificateFile is { } certificate)
        {
            _certificate = X509Certificate2.CreateFromPemFile(certificate, address.CertificateKeyFile);
            tls.ClientCertificates = [_certificate];
        }

        _http = new HttpClient(new SocketsHttpHandler
        {
            SslOptions = tls,
            AllowAutoRedirect = false,
            UseProxy = false,
        })
        {
            Timeout = Timeout.InfiniteTimeSpan,
            MaxResponseContentBufferSize = AnswerBytesMax,
        };
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _http.Dispose();
        _certificate?.Dispose();
        foreach (X509Certificate2 authority in _authorities)
        {
            authority.Dispose();
        }

        base.Dispose(disposing);
    }

    private protected override WitnessAnswer Ask(in WitnessRequest request)
    {
        (string path, byte[] question) = EtcdMessage.Write(_address.Key, request);
        string why = "";
        for (int attempt = 0; attempt < _address.Endpoints.Count; attempt++)
        {
            Uri endpoint = _address.Endpoints[_endpoint];
            using var end = new CancellationTokenSource(_patienceEach);
            try
            {
                return EtcdMessage.Read(Send(endpoint, path, question, end.Token), request);
            }
            catch (Exception e) when (IsFailure(e))
            {
                // Another member may have a way to the majority. Asking again is harmless: a swap that was done shows
                // as a conflict with what was desired, which the core takes for won.
                why = $"witness {endpoint}: {Describe(e)}";
                _endpoint = (_endpoint + 1) % _address.Endpoints.Count;
            }
        }

        return Unreachable(request, why);
    }

    private static bool IsFailure(Exception e) => e is HttpRequestException or OperationCanceledException or IOException
        or AuthenticationException or JsonException or FormatException or StateFormatException
        or InvalidOperationException or KeyNotFoundException or IndexOutOfRangeException;

    private static string Describe(Exception e)
        => e is OperationCanceledException ? "no answer in time" : (e.InnerException ?? e).Message;

    private byte[] Send(Uri endpoint, string path, byte[] question, CancellationToken end)
    {
        if (_address.User is null)
        {
            return Post(endpoint, path, question, end, out HttpStatusCode status) ?? throw Refused(status);
        }

        // A token runs out after some minutes, or when a member forgets it (401), or when users or roles change: one
        // that carries an old revision of those is a bad request.
        for (bool isFresh = false; ; isFresh = true)
        {
            if (_token is null || isFresh)
            {
                byte[] login = EtcdMessage.WriteLogin(_address.User, _address.Password ?? "");
                byte[] welcome = Post(endpoint, EtcdMessage.LoginPath, login, end, out HttpStatusCode refusal)
                    ?? throw Refused(refusal);
                _token = EtcdMessage.ReadToken(welcome);
            }

            byte[]? answer = Post(endpoint, path, question, end, out HttpStatusCode status);
            if (answer is not null)
            {
                return answer;
            }

            if (isFresh || status is not (HttpStatusCode.Unauthorized or HttpStatusCode.BadRequest))
            {
                _token = null;
                throw Refused(status);
            }
        }
    }

    private static HttpRequestException Refused(HttpStatusCode status)
        => new($"answered {(int)status} {status}");

    // Null: refused with that status.
    private byte[]? Post(
        Uri endpoint, string path, byte[] body, CancellationToken end, out HttpStatusCode status)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(endpoint, path));
        message.Content = new ByteArrayContent(body);
        message.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        if (_token is not null && path != EtcdMessage.LoginPath)
        {
            message.Headers.TryAddWithoutValidation("Authorization", _token);
        }

        // Without streaming the client's own limit bounds what a hostile member can make it keep.
        using HttpResponseMessage answer = _http.Send(message, HttpCompletionOption.ResponseContentRead, end);
        status = answer.StatusCode;
        using Stream content = answer.Content.ReadAsStream();
        byte[] bytes = new byte[content.Length];
        content.ReadExactly(bytes);
        return answer.IsSuccessStatusCode ? bytes : null;
    }
}
