using System;
using System.CommandLine;
using System.IO;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Hypervisor.Replication.Link;

namespace Hypervisor.CommandLine;

/// <summary>The options that say how the halves of a pair make sure of each other; the same on both.</summary>
internal static class LinkOptions
{
    private const int KeyBytesMax = 4096; // far more than anybody needs; a wrong file is refused, not read
    private const string Ways = "--tls-cert with --tls-key and --tls-ca, --psk-file, or --insecure";

    // A group may read a key: that is how hosts hand one to a service. Nobody else may change it.
    private const UnixFileMode TooOpen = UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.GroupWrite;

    private static readonly Option<string> s_certificate = OptionShapes.One(
        "--tls-cert",
        "FILE",
        "This half's certificate, PEM, with those between it and --tls-ca after it. TLS 1.3; names are not compared: "
        + "whoever has a certificate of --tls-ca is a half of this pair, so let it sign for the pair only.");

    private static readonly Option<string> s_key = OptionShapes.One(
        "--tls-key", "FILE", "The certificate's private key, PEM, for its owner's eyes only.");

    private static readonly Option<string> s_authority = OptionShapes.One(
        "--tls-ca", "FILE", "Who must have signed the other half's certificate, PEM; the host's own list is not used.");

    private static readonly Option<string> s_preSharedKey = OptionShapes.One(
        "--psk-file",
        "FILE",
        $"Instead of certificates: at least {LinkSecurity.KeyBytesMin} random bytes, the same file on both halves.");

    private static readonly Option<bool> s_insecure = OptionShapes.Switch(
        "--insecure", "Let the link between two hosts be neither encrypted nor authenticated; the status says so.");

    private static readonly Option[] s_all = [s_certificate, s_key, s_authority, s_preSharedKey, s_insecure];

    /// <summary>Adds the options to a command.</summary>
    public static void AddTo(Command command)
    {
        foreach (Option option in s_all)
        {
            command.Add(option);
        }
    }

    /// <summary>Whether any of the options is given.</summary>
    public static bool AreGiven(ParseResult words)
        => Array.Exists(s_all, option => words.GetResult(option) is { Implicit: false });

    /// <summary>Parses, reads the files, and checks.</summary>
    /// <param name="words">The user's words.</param>
    /// <param name="ends">Where this half listens or connects, with the option that says so.</param>
    /// <exception cref="UsageException">
    /// The words do not fit each other or the address, or a file cannot be used.
    /// </exception>
    public static LinkSecurity Read(ParseResult words, params (Option Where, Endpoint Address)[] ends)
    {
        string? preSharedKey = words.GetValue(s_preSharedKey);
        bool isInsecure = words.GetValue(s_insecure);
        Option<string>[] certificate = [s_certificate, s_key, s_authority];
        if (Array.Find(certificate, option => words.GetValue(option) is not null) is { } given)
        {
            if (Array.Find(certificate, option => words.GetValue(option) is null) is { } missing)
            {
                throw new UsageException(
                    $"{missing.Name}: missing beside {given.Name}; allowed: --tls-cert, --tls-key, --tls-ca together");
            }

            RefuseBoth(preSharedKey is not null, s_preSharedKey, given);
            RefuseBoth(isInsecure, s_insecure, given);
            return LinkSecurity.Certificates(
                ReadOwn(words.GetValue(s_certificate)!, words.GetValue(s_key)!),
                ReadCertificates(s_authority, words.GetValue(s_authority)!));
        }

        if (preSharedKey is not null)
        {
            RefuseBoth(isInsecure, s_insecure, s_preSharedKey);
            return LinkSecurity.PreSharedKey(ReadKey(preSharedKey));
        }

        int far = Array.FindIndex(ends, end => !end.Address.IsThisHost);
        return isInsecure || far < 0 ? LinkSecurity.Plain : throw new UsageException(
            $"{ends[far].Where.Name}: {ends[far].Address} is not on loopback, and the link is not encrypted; "
            + $"allowed: {Ways}");
    }

    private static void RefuseBoth(bool isGiven, Option option, Option other)
    {
        if (isGiven)
        {
            throw new UsageException($"{option.Name}: does not go with {other.Name}; allowed: {Ways}");
        }
    }

    private static X509Certificate2Collection ReadOwn(string path, string keyPath)
    {
        X509Certificate2Collection chain = ReadCertificates(s_certificate, path);
        chain[0].Dispose();
        chain[0] = Try(s_key, keyPath, "the certificate's private key, PEM, not encrypted", () =>
        {
            using FileStream file = File.OpenRead(keyPath);
            RefuseOpen(s_key, file);
            return X509Certificate2.CreateFromPemFile(path, keyPath);
        });
        return chain;
    }

    private static X509Certificate2Collection ReadCertificates(Option option, string path)
    {
        const string Allowed = "a readable PEM file with a certificate";
        return Try(option, path, Allowed, () =>
        {
            var found = new X509Certificate2Collection();
            found.ImportFromPemFile(path);
            return found.Count > 0 ? found : throw new UsageException(
                $"{option.Name}: '{path}' holds no certificate; allowed: {Allowed}");
        });
    }

    private static byte[] ReadKey(string path)
        => Try(s_preSharedKey, path, "a readable file", () =>
        {
            using FileStream file = File.OpenRead(path);
            RefuseOpen(s_preSharedKey, file);
            byte[] bytes = new byte[KeyBytesMax + 1];
            int count = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            string size = count > KeyBytesMax ? $"more than {KeyBytesMax}" : $"{count}";
            return count is >= LinkSecurity.KeyBytesMin and <= KeyBytesMax ? bytes[..count] : throw new UsageException(
                $"{s_preSharedKey.Name}: '{path}' has {size} bytes; allowed: {LinkSecurity.KeyBytesMin} to "
                + $"{KeyBytesMax}, random ones");
        });

    private static void RefuseOpen(Option option, FileStream file)
    {
        UnixFileMode mode = OperatingSystem.IsLinux() ? File.GetUnixFileMode(file.SafeFileHandle) : TooOpen;
        if ((mode & TooOpen) != 0)
        {
            throw new UsageException(
                $"{option.Name}: others can read or change '{file.Name}' (mode {Convert.ToString((int)mode, 8)}); "
                + "allowed: 600, 400, 640 or 440");
        }
    }

    private static T Try<T>(Option option, string path, string allowed, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception error) when (error
            is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            throw new UsageException(
                $"{option.Name}: '{path}': {HostErrors.Explain(error, path)}; allowed: {allowed}");
        }
    }
}
