using System;
using System.Linq;
using System.Net.Sockets;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>Talks to a server that writes each line to its disk and answers with its number there.</summary>
/// <param name="socket">The connection.</param>
internal sealed class LedgerClient(Socket socket) : HistoryClient(socket)
{
    /// <summary>
    /// What is wrong with the server's ledger in the light of what was sent and answered; null when nothing is.
    /// </summary>
    /// <param name="ledger">All of its lines.</param>
    public string? FindFault(string ledger) => FindFault(ledger, Answered, Sent);

    /// <summary>As above, from the numbers.</summary>
    internal static string? FindFault(string ledger, long answered, long sent)
    {
        string[] entries = ledger.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        int wrong = Array.FindIndex([.. entries.Select((entry, i) => entry != $"entry {i + 1}")], isWrong => isWrong);
        return wrong >= 0 ? $"line {wrong + 1} of the ledger is '{entries[wrong]}'"
            : entries.Length < answered ? $"{answered} entries were answered, and the ledger has {entries.Length}"
            : entries.Length > sent ? $"{sent} entries were sent, and the ledger has {entries.Length}"
            : null;
    }

    /// <inheritdoc/>
    protected override string Question(long entry) => $"entry {entry}";

    /// <inheritdoc/>
    protected override string Answer(long entry) => $"{entry} entry {entry}";

    /// <inheritdoc/>
    protected override bool IsNoise(string line) => false;
}
