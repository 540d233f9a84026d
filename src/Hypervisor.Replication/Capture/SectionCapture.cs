using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Capture;

/// <summary>All components of a machine as one run of checkpoint sections, in component order.</summary>
/// <remarks>
/// Sections as in <see cref="CheckpointSection"/>, one after the other. Both sides build the same machine, so the order
/// is the same; anything else is refused, never guessed.
/// </remarks>
internal static class SectionCapture
{
    /// <summary>
    /// The largest state of all components together: 16 MiB, a display's memory and all queues with room.
    /// </summary>
    public const int BytesMax = 16 << 20;

    /// <summary>Saves every component into <paramref name="target"/>. The machine is paused.</summary>
    /// <returns>Bytes used.</returns>
    /// <exception cref="StateFormatException">The state does not fit into the buffer.</exception>
    public static int Save(IReadOnlyList<ICheckpointed> components, Span<byte> target)
    {
        int used = 0;
        for (int i = 0; i < components.Count; i++)
        {
            if (target.Length - used < CheckpointSection.HeaderBytes)
            {
                throw new StateFormatException($"device state has more than {target.Length} bytes");
            }

            used += CheckpointSection.Write(components[i], target[used..]);
        }

        return used;
    }

    /// <summary>
    /// Checks the frame of every section without loading any: unknown, missing, repeated, short, long and newer ones
    /// are named. Damage inside a payload is found by <see cref="Load"/>, whose CRC covers it.
    /// </summary>
    /// <exception cref="StateFormatException">The sections are not those of these components.</exception>
    public static void CheckFrames(IReadOnlyList<ICheckpointed> components, ReadOnlySpan<byte> source)
    {
        ReadOnlySpan<byte> rest = source;
        for (int i = 0; i < components.Count; i++)
        {
            rest = rest[CheckFrame(components[i].Section, rest)..];
        }

        if (!rest.IsEmpty)
        {
            throw new StateFormatException($"device state has {rest.Length} bytes after its last section");
        }
    }

    /// <summary>
    /// Loads every component. On an exception some are loaded: load the previous state again, or give up.
    /// </summary>
    /// <exception cref="StateFormatException">A section is not what it must be, or is damaged.</exception>
    public static void Load(IReadOnlyList<ICheckpointed> components, Span<byte> source)
    {
        CheckFrames(components, source);
        Span<byte> rest = source;
        for (int i = 0; i < components.Count; i++)
        {
            rest = rest[CheckpointSection.Read(components[i], rest)..];
        }
    }

    private static int CheckFrame(SectionId expected, ReadOnlySpan<byte> rest)
    {
        if (rest.Length < CheckpointSection.HeaderBytes)
        {
            throw new StateFormatException($"{rest.Length} bytes left where section {Name(expected.Tag)} is due");
        }

        uint tag = BinaryPrimitives.ReadUInt32LittleEndian(rest);
        ushort instance = BinaryPrimitives.ReadUInt16LittleEndian(rest[4..]);
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(rest[6..]);
        int length = BinaryPrimitives.ReadInt32LittleEndian(rest[8..]);
        if (tag != expected.Tag || instance != expected.Instance)
        {
            throw new StateFormatException(
                $"section {Name(tag)}.{instance} where {Name(expected.Tag)}.{expected.Instance} is due");
        }

        if (version > expected.Version)
        {
            throw new StateFormatException(
                $"section {Name(tag)}.{instance} has version {version}, this build reads up to {expected.Version}");
        }

        return length >= 0 && length <= rest.Length - CheckpointSection.HeaderBytes
            ? CheckpointSection.HeaderBytes + length
            : throw new StateFormatException($"section {Name(tag)}.{instance} claims {length} bytes, "
                + $"{rest.Length - CheckpointSection.HeaderBytes} are left");
    }

    private static string Name(uint tag)
    {
        Span<char> name = stackalloc char[sizeof(uint)];
        for (int i = 0; i < name.Length; i++)
        {
            char letter = (char)(byte)(tag >> (8 * i));
            name[i] = char.IsAsciiLetterOrDigit(letter) ? letter : '?';
        }

        return new string(name);
    }
}
