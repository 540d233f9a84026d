using System;
using System.Net.Sockets;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>
/// Talks to SQLite's shell in the guest: each entry is a transaction over three rows of two tables, with fsync.
/// </summary>
/// <remarks>
/// With a write-ahead log `synchronous=FULL` survives a power cut. With a rollback journal it need not: there the
/// commit is the removal of a file, and the folder is not synced. Spec: sqlite.org/pragma.html, "synchronous".
/// </remarks>
internal sealed class DatabaseClient : HistoryClient
{
    /// <summary>What all accounts hold together, before and after each transaction.</summary>
    public const long Total = Accounts * 1000;

    private const int Accounts = 100;
    private const string AnswerMark = "OK ";

    /// <summary>Takes the connection and makes the tables.</summary>
    /// <exception cref="InvalidOperationException">They could not be made.</exception>
    public DatabaseClient(Socket socket)
        : base(socket)
    {
        string? answer = Ask(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
            + "CREATE TABLE ledger(id INTEGER PRIMARY KEY, text TEXT); "
            + "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER); "
            + $"INSERT INTO account SELECT value, 1000 FROM generate_series(0, {Accounts - 1}); "
            + "SELECT 'OK '||sum(balance) FROM account;");
        if (answer != AnswerMark + Total)
        {
            throw new InvalidOperationException($"SQLite makes no tables: '{answer}'");
        }
    }

    /// <summary>What is wrong with the database as SQLite sees it in the guest; null when nothing is.</summary>
    public string? FindFault()
    {
        string? answer = Ask("SELECT 'OK '||group_concat(integrity_check) FROM pragma_integrity_check;");
        return answer == AnswerMark + "ok" ? null : $"in the guest integrity_check says '{answer}'";
    }

    /// <inheritdoc/>
    protected override string Question(long entry) =>
        $"BEGIN IMMEDIATE; INSERT INTO ledger VALUES({entry}, hex(randomblob(100))); "
        + $"UPDATE account SET balance=balance-{entry % 7} WHERE id={entry % Accounts}; "
        + $"UPDATE account SET balance=balance+{entry % 7} WHERE id={entry * 31 % Accounts}; COMMIT; "
        + "SELECT 'OK '||(SELECT max(id) FROM ledger)||' '||sum(balance) FROM account;";

    /// <inheritdoc/>
    protected override string Answer(long entry) => $"{AnswerMark}{entry} {Total}";

    // The shell repeats what it is told.
    /// <inheritdoc/>
    protected override bool IsNoise(string line)
        => !line.StartsWith(AnswerMark, StringComparison.Ordinal) && !line.Contains("rror", StringComparison.Ordinal);
}
