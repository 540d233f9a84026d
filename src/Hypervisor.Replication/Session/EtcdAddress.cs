using System;
using System.Collections.Generic;

namespace Hypervisor.Replication.Session;

/// <summary>Where a record lies in etcd, and how to get there.</summary>
/// <param name="Endpoints">Members of the cluster, http or https; any of them will do.</param>
/// <param name="Key">Key of the record.</param>
public sealed record EtcdAddress(IReadOnlyList<Uri> Endpoints, string Key)
{
    /// <summary>Name to log in with; null: without authentication.</summary>
    public string? User { get; init; }

    /// <summary>Its password.</summary>
    public string? Password { get; init; }

    /// <summary>Path of the PEM file with the authorities that may vouch for the cluster; null: the host's.</summary>
    public string? AuthorityFile { get; init; }

    /// <summary>Path of the PEM file with the certificate to show; null: none.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>Path of the PEM file with its key.</summary>
    public string? CertificateKeyFile { get; init; }
}
