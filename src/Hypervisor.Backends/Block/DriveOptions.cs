namespace Hypervisor.Backends.Block;

/// <summary>What a user says of a drive: <c>--drive file=,format=,cache=,id=,readonly=,discard=</c>.</summary>
/// <param name="File">Image file or block device.</param>
public sealed record DriveOptions(string File)
{
    /// <summary>Name of the image format; one of <see cref="BlockFormat.All"/>.</summary>
    public string Format { get; init; } = "raw";

    /// <summary>How writes reach the medium.</summary>
    public CacheMode Cache { get; init; } = CacheMode.Writeback;

    /// <summary>Name in commands and messages, and the guest's serial number of the disk; empty: none.</summary>
    public string Id { get; init; } = "";

    /// <summary>Whether the guest may not write.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>Whether discards reach the image; QEMU's <c>discard=unmap</c>. Else they do nothing.</summary>
    public bool IsDiscardPassed { get; init; }

    /// <summary>Whether both halves of a pair reach this very image.</summary>
    public bool IsShared { get; init; }

    /// <summary>
    /// Whether writes go to a temporary overlay that is thrown away at the end; QEMU's <c>-snapshot</c>.
    /// </summary>
    public bool IsSnapshot { get; init; }
}
