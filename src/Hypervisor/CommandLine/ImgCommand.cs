using System;
using System.CommandLine;
using System.IO;

namespace Hypervisor.CommandLine;

/// <summary>`hv img create|info`: disk images.</summary>
internal static class ImgCommand
{
    private const int SectorBytes = 512;
    private static readonly string[] s_formats = ["raw"];

    /// <summary>Builds the command.</summary>
    public static Command Build() => new HelpfulCommand(
        "img", "Makes and describes disk images.", "hv img create disk.img 1G", "hv img info disk.img")
    {
        BuildCreate(),
        BuildInfo(),
    };

    private static HelpfulCommand BuildCreate()
    {
        var path = new Argument<string>("file") { Description = "The new image; must not exist." };
        var size = new Argument<string>("size") { Description = "Size the guest sees, such as 1G." };
        Option<string> format = OptionShapes.One("--format", "FORMAT", "Layout of the file: raw [default].", "-f");
        var command = new HelpfulCommand(
            "create", "Makes an image that reads as zeroes.", "hv img create disk.img 1G") { path, size, format };
        command.SetAction(words =>
        {
            CheckFormat(words.GetValue(format));
            Create(words.GetRequiredValue(path), words.GetRequiredValue(size));
            return ExitCode.Success;
        });
        return command;
    }

    private static HelpfulCommand BuildInfo()
    {
        var path = new Argument<string>("file") { Description = "The image." };
        var command = new HelpfulCommand("info", "Describes an image.", "hv img info disk.img") { path };
        command.SetAction(words => Describe(words.GetRequiredValue(path), words.InvocationConfiguration.Output));
        return command;
    }

    private static void CheckFormat(string? format)
    {
        if (format is not null && Array.IndexOf(s_formats, format) < 0)
        {
            throw new UsageException($"--format: '{format}' is not known; allowed: {string.Join(", ", s_formats)}");
        }
    }

    private static void Create(string path, string size)
    {
        long bytes = SizeText.Parse("size", size);
        if (bytes == 0 || bytes % SectorBytes != 0)
        {
            throw new UsageException($"size: {size} is no disk; allowed: a multiple of {SectorBytes} bytes, such as 1G");
        }

        try
        {
            using FileStream file = new(path, FileMode.CreateNew, FileAccess.Write);
            file.SetLength(bytes);
        }
        catch (IOException) when (File.Exists(path))
        {
            throw new FailureException($"img create {path}: the file exists; allowed: a new name");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new FailureException($"img create {path}: {HostErrors.Explain(error, path)}");
        }
    }

    private static int Describe(string path, TextWriter output)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            output.WriteLine($"image: {path}");
            output.WriteLine("format: raw");
            output.WriteLine($"size: {SizeText.Write(file.Length)} ({file.Length} bytes)");
            if (file.Length == 0 || file.Length % SectorBytes != 0)
            {
                throw new FailureException(
                    $"img info {path}: {file.Length} bytes are no disk; allowed: a multiple of {SectorBytes}");
            }

            return ExitCode.Success;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new FailureException($"img info {path}: {HostErrors.Explain(error, path)}");
        }
    }
}
