using System;
using System.Text.RegularExpressions;

namespace Hypervisor.Sessions;

/// <summary>What a drill is to be.</summary>
/// <param name="Time">How long the copy may run.</param>
/// <param name="Until">What its console must print; null: nothing particular.</param>
internal sealed record DrillTerms(TimeSpan Time, Regex? Until)
{
    /// <summary>Longest drill: it holds a copy of all RAM.</summary>
    public static readonly TimeSpan TimeMax = TimeSpan.FromHours(1);

    /// <summary>A pattern, in time that grows with the text only.</summary>
    /// <exception cref="ArgumentException">It is none.</exception>
    public static Regex Pattern(string text) => new(text, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
}
