namespace Hypervisor.Core.Host;

/// <summary>What stands behind a path.</summary>
public enum HostFileKind
{
    /// <summary>A plain file.</summary>
    Regular,

    /// <summary>A disk or partition.</summary>
    BlockDevice,

    /// <summary>A directory, pipe, socket or character device.</summary>
    Other,
}
