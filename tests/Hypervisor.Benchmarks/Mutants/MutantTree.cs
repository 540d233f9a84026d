using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;

namespace Hypervisor.Benchmarks.Mutants;

/// <summary>A copy of the checkout's last commit, in which things are broken and tests are run.</summary>
internal sealed partial class MutantTree
{
    private const string TestProject = "tests/Hypervisor.Tests";
    private const string Output = "bin/Release/net10.0";

    // A mutant may wait for ever; with nothing broken the tests of all rules run at once, perhaps on a busy host.
    private static readonly TimeSpan s_testsMax = TimeSpan.FromMinutes(3), s_allTestsMax = TimeSpan.FromMinutes(20);

    // What is broken may leave a variable or a line that is of no use.
    private static readonly string[] s_build =
    [
        "-c", "Release", "-v", "quiet", "-nologo", "-p:RunAnalyzers=false", "-p:EnforceCodeStyleInBuild=false",
        "-p:TreatWarningsAsErrors=false", "-p:GenerateDocumentationFile=false",
    ];

    private readonly string _root;

    private MutantTree(string root, string commit)
    {
        _root = root;
        Commit = commit;
    }

    /// <summary>The commit that it is a copy of.</summary>
    public string Commit { get; }

    /// <summary>Makes the copy, or brings the one of an earlier run up to date, and builds the tests.</summary>
    /// <exception cref="InvalidOperationException">Something of it failed.</exception>
    public static MutantTree Make(string root, string folder)
    {
        string commit = HostCommand.Output("git", "-C", root, "rev-parse", "HEAD").Trim();
        if (!Directory.Exists(folder))
        {
            _ = HostCommand.Output("git", "clone", "--quiet", "--shared", "--no-checkout", root, folder);
        }

        _ = HostCommand.Output("git", "-C", folder, "fetch", "--quiet", root, commit);
        _ = HostCommand.Output("git", "-C", folder, "checkout", "--quiet", "--force", "--detach", commit);
        var tree = new MutantTree(folder, commit);
        _ = HostCommand.Output("dotnet", ["build", tree.PathOf(TestProject), .. s_build]);
        return tree;
    }

    /// <summary>Runs tests of the tree as it is; says what failed, sorted, without their namespace.</summary>
    /// <returns>Empty when all passed.</returns>
    /// <exception cref="InvalidOperationException">There are no such tests.</exception>
    public IReadOnlyList<string> Failures(IEnumerable<string> tests) => Failures(tests, s_allTestsMax);

    /// <summary>What fails with a mutant in the tree, which is afterwards as before.</summary>
    /// <exception cref="InvalidOperationException">The mutant does not fit the source, or does not build.</exception>
    public IReadOnlyList<string> Failures(Mutant mutant)
    {
        string file = PathOf(mutant.File);
        string project = string.Join('/', mutant.File.Split('/')[..2]);
        string library = (project == "src/Hypervisor" ? "hv" : Path.GetFileName(project)) + ".dll";
        string used = PathOf(TestProject, Output, library), kept = used + ".kept";
        string source = File.ReadAllText(file);
        string broken = mutant.Apply(source)
            ?? throw new InvalidOperationException($"'{mutant.Title}' does not fit {mutant.File}");
        File.Copy(used, kept, overwrite: true);
        try
        {
            File.WriteAllText(file, broken);
            string[] alone = ["--no-restore", "-p:BuildProjectReferences=false"];
            _ = HostCommand.Output("dotnet", ["build", PathOf(project), .. s_build, .. alone]);
            File.Copy(PathOf(project, Output, library), used, overwrite: true);
            return Failures(mutant.Tests, s_testsMax);
        }
        finally
        {
            File.Move(kept, used, overwrite: true);
            File.WriteAllText(file, source);
        }
    }

    private string[] Failures(IEnumerable<string> tests, TimeSpan patience)
    {
        IEnumerable<string> words = tests.SelectMany(test => (string[])["-method", test]);
        var start = new ProcessStartInfo(PathOf(TestProject, Output, "Hypervisor.Tests"), words)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        List<string> lines = [];
        process.OutputDataReceived += (_, line) => lines.Add(line.Data ?? "");
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        if (!process.WaitForExit(patience))
        {
            process.Kill(entireProcessTree: true);
            return [$"no end within {patience.TotalMinutes} minutes"];
        }

        process.WaitForExit(); // for the last lines
        if (lines.Any(line => line.Contains("Total: 0,", StringComparison.Ordinal)))
        {
            throw new InvalidOperationException($"there is no test of the name {string.Join(", ", tests)}");
        }

        string[] failed =
        [
            .. lines.Select(line => FailedTest().Match(line)).Where(match => match.Success)
                .Select(match => match.Groups[1].Value).Distinct().Order(StringComparer.Ordinal),
        ];
        return failed.Length > 0 || process.ExitCode == 0
            ? failed
            : [$"a check that ended the tests with code {process.ExitCode}"];
    }

    private string PathOf(params string[] parts) => Path.Combine([_root, .. parts]);

    [GeneratedRegex(@"([A-Za-z0-9]+\.[A-Za-z0-9_]+)(?:\(.*\))? \[FAIL\]")]
    private static partial Regex FailedTest();
}
