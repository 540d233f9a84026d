using System;

namespace Hypervisor.Core.Host;

/// <summary>The host's kernel refused something that this process needs; the message names it and the error.</summary>
public sealed class HostException(string message) : Exception(message);
