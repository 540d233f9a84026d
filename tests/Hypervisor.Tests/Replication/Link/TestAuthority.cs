using System;
using System.IO;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Hypervisor.Replication.Link;

namespace Hypervisor.Tests.Replication.Link;

/// <summary>An authority of a test's own, which signs certificates for halves of a pair.</summary>
internal sealed class TestAuthority : IDisposable
{
    private static readonly DateTimeOffset s_from = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly DateTimeOffset s_until = new(2120, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public TestAuthority(string name = "CN=test authority")
    {
        var request = new CertificateRequest(name, _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        Certificate = request.CreateSelfSigned(s_from, s_until);
    }

    public X509Certificate2 Certificate { get; }

    public X509Certificate2 Sign(string name, DateTimeOffset? until = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        byte[] serial = RandomNumberGenerator.GetBytes(8);
        using X509Certificate2 bare = request.Create(Certificate, s_from, until ?? s_until, serial);
        return bare.CopyWithPrivateKey(key);
    }

    /// <summary>A half whose certificate this authority signed, and which trusts <paramref name="peers"/>.</summary>
    public LinkSecurity Half(TestAuthority? peers = null)
        => LinkSecurity.Certificates([Sign("CN=half")], [(peers ?? this).Certificate]);

    /// <summary>Writes what the command line reads: cert.pem, key.pem (600) and ca.pem.</summary>
    public void WriteTo(string folder)
    {
        using X509Certificate2 half = Sign("CN=half");
        File.WriteAllText(Path.Combine(folder, "ca.pem"), Certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(folder, "cert.pem"), half.ExportCertificatePem());
        string key = Path.Combine(folder, "key.pem");
        using ECDsa secret = half.GetECDsaPrivateKey()!;
        File.WriteAllText(key, secret.ExportPkcs8PrivateKeyPem());
        SetMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    public static void SetMode(string path, UnixFileMode mode)
    {
        if (OperatingSystem.IsLinux())
        {
            File.SetUnixFileMode(path, mode);
        }
    }

    public void Dispose()
    {
        Certificate.Dispose();
        _key.Dispose();
    }
}
