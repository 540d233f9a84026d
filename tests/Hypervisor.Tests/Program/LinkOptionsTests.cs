using System;
using System.CommandLine;
using System.IO;
using System.Security.Cryptography;
using Hypervisor.CommandLine;
using Hypervisor.Replication.Link;
using Hypervisor.Tests.Replication.Link;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class LinkOptionsTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private static readonly Option<string> s_standby = new("--standby");
    private static readonly Endpoint s_elsewhere = new("192.0.2.7", 7000);
    private readonly string _folder = Directory.CreateTempSubdirectory("hv-link-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("localhost")]
    [InlineData("127.0.0.9")]
    [InlineData("::1")]
    public void Link_on_loopback_may_be_plain(string host)
        => Assert.Same(LinkSecurity.Plain, Read(new Endpoint(host, 7000)));

    [Theory]
    [InlineData("192.0.2.7")]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    [InlineData("localhost.example")]
    public void Link_between_hosts_is_plain_only_on_purpose(string host)
    {
        var endpoint = new Endpoint(host, 7000);

        Assert.Contains("not encrypted", Refuse(endpoint), StringComparison.Ordinal);
        Assert.Same(LinkSecurity.Plain, Read(endpoint, "--insecure"));
    }

    [Theory]
    [InlineData(LinkSecurity.KeyBytesMin, OwnerOnly)]
    [InlineData(4096, OwnerOnly | UnixFileMode.GroupRead)]
    public void Key_file_of_32_bytes_or_more_is_taken(int bytes, UnixFileMode mode)
        => Assert.True(Read(s_elsewhere, "--psk-file", KeyFile(bytes, mode)).IsEncrypted);

    [Theory]
    [InlineData(0, "has 0 bytes; allowed: 32 to 4096")]
    [InlineData(31, "has 31 bytes; allowed: 32 to 4096")]
    [InlineData(4097, "has more than 4096 bytes; allowed: 32 to 4096")]
    public void Key_file_of_another_size_is_refused(int bytes, string expected)
        => Assert.Contains(
            expected, Refuse(s_elsewhere, "--psk-file", KeyFile(bytes, OwnerOnly)), StringComparison.Ordinal);

    [Theory]
    [InlineData(UnixFileMode.OtherRead, "604")]
    [InlineData(UnixFileMode.OtherWrite, "602")]
    [InlineData(UnixFileMode.GroupWrite, "620")]
    public void Key_file_that_is_open_to_others_is_refused(UnixFileMode mode, string expected)
        => Assert.Contains(
            $"(mode {expected})",
            Refuse(s_elsewhere, "--psk-file", KeyFile(32, OwnerOnly | mode)),
            StringComparison.Ordinal);

    [Fact]
    public void Certificate_key_and_authority_are_read()
    {
        WriteCertificates();

        Assert.True(Read(s_elsewhere, Tls()).IsEncrypted);
    }

    [Fact]
    public void Halves_that_read_their_files_trust_each_other()
    {
        WriteCertificates();
        using var pair = new LinkPair();

        Assert.Equal((null, null), pair.Secure(Read(s_elsewhere, Tls()), Read(s_elsewhere, Tls())));
    }

    [Fact]
    public void Private_key_that_others_can_read_is_refused()
    {
        WriteCertificates();
        TestAuthority.SetMode(Path.Combine(_folder, "key.pem"), OwnerOnly | UnixFileMode.OtherRead);

        Assert.Contains("--tls-key: others can read", Refuse(s_elsewhere, Tls()), StringComparison.Ordinal);
    }

    [Fact]
    public void Key_of_another_certificate_is_refused()
    {
        WriteCertificates();
        using var other = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        File.WriteAllText(Path.Combine(_folder, "key.pem"), other.ExportPkcs8PrivateKeyPem());

        Assert.StartsWith("--tls-key: ", Refuse(s_elsewhere, Tls()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cert.pem", "--tls-cert: ")]
    [InlineData("key.pem", "--tls-key: ")]
    [InlineData("ca.pem", "--tls-ca: ")]
    public void File_with_something_else_in_it_is_refused(string name, string option)
    {
        WriteCertificates();
        File.WriteAllText(Path.Combine(_folder, name), "hello");

        Assert.StartsWith(option, Refuse(s_elsewhere, Tls()), StringComparison.Ordinal);
    }

    private static LinkSecurity Read(Endpoint endpoint, params string[] words)
    {
        var command = new Command("test");
        LinkOptions.AddTo(command);
        return LinkOptions.Read(command.Parse(words), (s_standby, endpoint));
    }

    private static string Refuse(Endpoint endpoint, params string[] words)
        => Assert.Throws<UsageException>(() => Read(endpoint, words)).Message;

    private void WriteCertificates()
    {
        using var authority = new TestAuthority();
        authority.WriteTo(_folder);
    }

    private string[] Tls() =>
    [
        "--tls-cert", Path.Combine(_folder, "cert.pem"),
        "--tls-key", Path.Combine(_folder, "key.pem"),
        "--tls-ca", Path.Combine(_folder, "ca.pem"),
    ];

    private string KeyFile(int bytes, UnixFileMode mode)
    {
        string path = Path.Combine(_folder, "pair.key");
        File.WriteAllBytes(path, RandomNumberGenerator.GetBytes(bytes));
        TestAuthority.SetMode(path, mode);
        return path;
    }
}
