namespace Hypervisor.Machine;

/// <summary>What stands at the host's end of a serial line.</summary>
public enum SerialKind
{
    /// <summary>Nothing: output is dropped.</summary>
    Null,

    /// <summary>Standard input and output of this process.</summary>
    Stdio,

    /// <summary>A file that takes the output; no input.</summary>
    File,

    /// <summary>A TCP connection, made or awaited.</summary>
    Tcp,
}
