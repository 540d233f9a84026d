using System;
using System.Collections.Generic;

namespace Hypervisor.Sessions;

/// <summary>What a boot test does.</summary>
/// <param name="Steps">Its script, at least one expect.</param>
/// <param name="Timeout">For the whole script.</param>
/// <param name="JUnitPath">Where the report goes; null for none.</param>
internal sealed record BootTestConfig(IReadOnlyList<BootStep> Steps, TimeSpan Timeout, string? JUnitPath);
