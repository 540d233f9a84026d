using System;

namespace Hypervisor.CommandLine;

/// <summary>What was asked for makes sense but cannot be done: one line that says what and why; exit code 1.</summary>
internal sealed class FailureException(string message) : Exception(message);
