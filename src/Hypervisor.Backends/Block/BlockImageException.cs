using System;

namespace Hypervisor.Backends.Block;

/// <summary>
/// An image can't be opened or made. The message is one line: which file, what is wrong, what is allowed.
/// </summary>
public sealed class BlockImageException(string message) : Exception(message);
