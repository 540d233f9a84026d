namespace Hypervisor.CommandLine;

/// <summary>What `hv` ends with. A guest's own code (debug-exit) is passed on instead.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>Could not be done; the last line on stderr says why.</summary>
    public const int Failure = 1;

    /// <summary>The words of the command line are wrong; the line on stderr says what is allowed.</summary>
    public const int Usage = 2;
}
