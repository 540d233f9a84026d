using System.Collections.Generic;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>The smallest thing that the kit can be asked to run.</summary>
/// <param name="Word">How the guest's command line names it.</param>
/// <param name="Rows">The benchmarks that it runs, as they are named in the results.</param>
internal sealed record KitItem(string Word, IReadOnlyList<string> Rows);
