using System;
using System.Globalization;
using System.IO;

namespace Hypervisor.Benchmarks;

/// <summary>What every `bench` command that writes a page does around its runs.</summary>
/// <param name="name">The command's name.</param>
/// <param name="root">The checkout.</param>
internal sealed class Measurement(string name, string root)
{
    /// <summary>The page of published figures.</summary>
    public string Page => Path.Combine(root, "docs", "performance.md");

    /// <summary>Runs the command; what is wrong with its words or its runs becomes one line and an exit code.</summary>
    /// <param name="name">The command's name.</param>
    /// <param name="paths">What its first words are, with blanks between: those that run.sh adds.</param>
    /// <param name="usage">What a user may say after them.</param>
    /// <param name="words">The words after the name.</param>
    /// <param name="run">Gets the first words and the others.</param>
    public static int Run(
        string name, string paths, string usage, ReadOnlySpan<string> words, Func<string[], string[], int> run)
    {
        int pathCount = paths.Split(' ').Length;
        if (words.Length < pathCount)
        {
            Console.Error.WriteLine($"usage: {name} {paths}; {usage}");
            return 2;
        }

        string[] pathWords = words[..pathCount].ToArray(), optionWords = words[pathCount..].ToArray();
        return Guard(name, () => run(pathWords, optionWords));
    }

    /// <summary>Makes the folder of results: <paramref name="folder"/>, or a new one named by the time.</summary>
    public string MakeResults(string? folder = null)
    {
        string stamp = DateTime.UtcNow.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
        string results = Path.GetFullPath(folder ?? Path.Combine(root, "out", name, stamp));
        _ = Directory.CreateDirectory(results);
        return results;
    }

    /// <summary>A section of a page.</summary>
    /// <param name="title">Its heading.</param>
    /// <param name="words">Words of the command after its name.</param>
    /// <param name="remark">Sentences after the command; empty for none.</param>
    /// <param name="head">What the numbers depend on.</param>
    /// <param name="body">The figures.</param>
    public string Section(string title, string words, string remark, string head, string body)
    {
        string command = words.Length > 0 ? $"{name} {words}" : name;
        return $"""
            ## {title}

            Made by `./run.sh bench {command}`.{(remark.Length > 0 ? " " + remark : "")}

            {head} Load average at the end {BenchmarkHost.LoadAverage()}.

            {body}
            """;
    }

    /// <summary>Shows a section and puts it into pages.</summary>
    public void Publish(string section, string results, params string[] pages)
    {
        Console.WriteLine(section);
        Array.ForEach(pages, page => PerformancePage.Put(page, section));
        Console.Error.WriteLine($"bench {name}: results in {results}, report in {pages[^1]}");
    }

    private static int Guard(string name, Func<int> run)
    {
        try
        {
            return run();
        }
        catch (FormatException error)
        {
            Console.Error.WriteLine($"bench {name}: {error.Message}");
            return 2;
        }
        catch (InvalidOperationException error)
        {
            Console.Error.WriteLine($"bench {name}: {error.Message}");
            return 1;
        }
    }
}
