namespace Hypervisor.Backends.Console;

/// <summary>What a key after Ctrl-A asks for.</summary>
public enum EscapeCommand
{
    /// <summary>`x`: end the machine.</summary>
    Quit,

    /// <summary>`c`: leave the guest's console for a moment and show the machine's status.</summary>
    Status,

    /// <summary>`h` or `?`: list the keys.</summary>
    Help,
}
