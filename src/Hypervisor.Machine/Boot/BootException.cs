using System;

namespace Hypervisor.Machine.Boot;

/// <summary>The machine can't be started from what it was given. The message is one line: what, where, what is allowed.</summary>
public sealed class BootException : Exception
{
    /// <summary>An exception with <paramref name="message"/> for the user.</summary>
    public BootException(string message)
        : base(message)
    {
    }

    /// <summary>An exception with <paramref name="message"/> for the user, caused by <paramref name="inner"/>.</summary>
    public BootException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
