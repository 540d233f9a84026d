using System;

namespace Hypervisor.Simulation;

/// <summary>A rule of fault-tolerance.md was broken in a run.</summary>
internal sealed class RuleViolationException(int rule, string message) : Exception($"rule {rule}: {message}")
{
    /// <summary>Number of the rule.</summary>
    public int Rule => rule;
}
