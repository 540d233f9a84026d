using System;

namespace Hypervisor.Devices.Bus;

/// <summary>Two devices of one machine claim the same addresses. The message names both.</summary>
public sealed class BusConflictException(string message) : Exception(message);
