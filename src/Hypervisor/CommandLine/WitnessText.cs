using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Session;

namespace Hypervisor.CommandLine;

/// <summary>Where the witness is: `file:PATH`, or `etcd:URL[,URL…][,key=NAME…]`.</summary>
/// <param name="Text">As the user wrote it.</param>
/// <param name="File">Path of the record's file; null: it is in etcd.</param>
/// <param name="Etcd">Where in etcd; null: it is a file.</param>
internal sealed record WitnessText(string Text, string? File, EtcdAddress? Etcd)
{
    private const string FilePrefix = "file:";
    private const string EtcdPrefix = "etcd:";
    private const int EndpointsMax = 9; // larger than a cluster gets; each has its share of the time
    private const string DefaultKey = "hypervisor/witness";
    private const string Allowed = "file:PATH, etcd:http://HOST:2379[,http://HOST:2379…][,key=NAME][,user=NAME,"
        + "password-file=PATH][,cacert=PATH][,cert=PATH,cert-key=PATH]";

    /// <summary>A record in a file.</summary>
    public static WitnessText InFile(string path) => new(FilePrefix + path, path, null);

    /// <summary>Parses the words of a user.</summary>
    /// <exception cref="UsageException">Not understood.</exception>
    public static WitnessText Parse(string where, string text)
    {
        if (text.StartsWith(FilePrefix, StringComparison.Ordinal) && text.Length > FilePrefix.Length)
        {
            return InFile(text[FilePrefix.Length..]);
        }

        return text.StartsWith(EtcdPrefix, StringComparison.Ordinal)
            ? new WitnessText(text, null, ParseEtcd(where, text[EtcdPrefix.Length..]))
            : throw new UsageException($"{where}: '{text}' is not understood; allowed: {Allowed}");
    }

    /// <summary>Opens it; a service need not be reachable now.</summary>
    /// <exception cref="UsageException">A file with a certificate or a password cannot be read.</exception>
    public Witness Open(IHostClock clock)
    {
        if (Etcd is null)
        {
            return new FileWitness(File!, clock);
        }

        try
        {
            return new EtcdWitness(Etcd);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new UsageException($"--witness: {error.Message}; allowed: readable PEM files");
        }
    }

    private static EtcdAddress ParseEtcd(string where, string text)
    {
        var endpoints = new List<Uri>();
        var rest = new List<string>();
        foreach (string part in text.Split(','))
        {
            if (part.StartsWith("http://", StringComparison.Ordinal)
                || part.StartsWith("https://", StringComparison.Ordinal))
            {
                endpoints.Add(
                    Uri.TryCreate(part, UriKind.Absolute, out Uri? endpoint)
                        && endpoint is { PathAndQuery: "/", UserInfo: "", Fragment: "" }
                    ? endpoint
                    : throw new UsageException($"{where}: '{part}' is no address; allowed: http://HOST:2379"));
            }
            else
            {
                rest.Add(part);
            }
        }

        var list = PropertyList.Parse(
            where, string.Join(',', rest), "key", "user", "password-file", "cacert", "cert", "cert-key");
        if (endpoints.Count is 0 or > EndpointsMax)
        {
            throw new UsageException(endpoints.Count == 0
                ? $"{where}: etcd has no address; allowed: {Allowed}"
                : $"{where}: etcd has {endpoints.Count} addresses; allowed: up to {EndpointsMax}");
        }

        if (list.Find("cert") is null != list.Find("cert-key") is null)
        {
            throw new UsageException($"{where}: cert= and cert-key= go together; allowed: both or none");
        }

        if (list.Find("user") is null != list.Find("password-file") is null)
        {
            throw new UsageException($"{where}: user= and password-file= go together; allowed: both or none");
        }

        return new EtcdAddress(endpoints, list.Find("key") ?? DefaultKey)
        {
            User = list.Find("user"),
            Password = list.Find("password-file") is { } path ? ReadPassword(where, path) : null,
            AuthorityFile = list.Find("cacert"),
            CertificateFile = list.Find("cert"),
            CertificateKeyFile = list.Find("cert-key"),
        };
    }

    private static string ReadPassword(string where, string path)
    {
        try
        {
            return System.IO.File.ReadAllText(path).TrimEnd('\r', '\n');
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{where}: password-file={path}: {error.Message}; allowed: a readable file");
        }
    }
}
