using System;

namespace Hypervisor.Replication.Wire;

/// <summary>
/// The peer sent bytes that this build does not accept. The text names the field, its value and what is allowed.
/// </summary>
internal sealed class WireFormatException(string message) : Exception(message);
