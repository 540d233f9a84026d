using System;

namespace Hypervisor.CommandLine;

/// <summary>The user typed something wrong: one line that says what, where, and what is allowed; exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
