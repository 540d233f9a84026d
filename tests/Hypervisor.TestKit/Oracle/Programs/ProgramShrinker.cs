using System;
using System.Collections.Generic;
using Iced.Intel;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Takes instructions out of a program for as long as the two sides still differ.</summary>
internal static class ProgramShrinker
{
    private const int TriesMax = 2000;

    /// <summary>Leaves the smallest program that was found.</summary>
    /// <param name="program">Nodes of it are marked as removed.</param>
    /// <param name="isDifferent">Lays the program out and runs it.</param>
    internal static void Shrink(RandomProgram program, Func<RandomProgram, bool> isDifferent)
    {
        List<ProgramNode> nodes = [.. program.Nodes];
        int tries = 0;
        for (int size = nodes.Count / 2; size > 0; size /= 2)
        {
            bool wasRemoved = true;
            while (wasRemoved && tries < TriesMax)
            {
                wasRemoved = false;
                for (int at = 0; at < nodes.Count; at += size)
                {
                    tries++;
                    List<ProgramNode> removed = Remove(nodes, at, Math.Min(size, nodes.Count - at));
                    if (removed.Count > 0 && isDifferent(program))
                    {
                        wasRemoved = true;
                        continue;
                    }

                    foreach (ProgramNode node in removed)
                    {
                        node.IsRemoved = false;
                    }
                }
            }
        }
    }

    private static List<ProgramNode> Remove(List<ProgramNode> nodes, int first, int count)
    {
        List<ProgramNode> removed = [];
        RflagsBits open = RflagsBits.None;
        foreach (ProgramNode node in nodes)
        {
            open |= node.IsRemoved ? RflagsBits.None : node.Opens;
        }

        for (int i = first; i < first + count; i++)
        {
            // Without what closes them, undefined flags would be seen.
            if (!nodes[i].IsRemoved && !nodes[i].IsKept && (nodes[i].Closes & open) == 0)
            {
                nodes[i].IsRemoved = true;
                removed.Add(nodes[i]);
            }
        }

        return removed;
    }
}
