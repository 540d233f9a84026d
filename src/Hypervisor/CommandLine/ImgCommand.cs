using System.CommandLine;
using System.IO;
using Hypervisor.Backends.Block;

namespace Hypervisor.CommandLine;

/// <summary>`hv img create|info`: disk images.</summary>
internal static class ImgCommand
{
    private const int SectorBytes = 512;

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
        Option<string> format = OptionShapes.One("--format", "FORMAT", "Layout of the file [default: raw].", "-f");
        var command = new HelpfulCommand(
            "create", "Makes an image that reads as zeroes.", "hv img create disk.img 1G") { path, size, format };
        command.SetAction(words =>
        {
            Create(words.GetRequiredValue(path), words.GetRequiredValue(size), ReadFormat(words, format));
            return ExitCode.Success;
        });
        return command;
    }

    private static HelpfulCommand BuildInfo()
    {
        var path = new Argument<string>("file") { Description = "The image." };
        Option<string> format = OptionShapes.One("--format", "FORMAT", "Layout of the file [default: raw].", "-f");
        var command = new HelpfulCommand("info", "Describes an image.", "hv img info disk.img") { path, format };
        command.SetAction(words =>
        {
            Describe(
                ImageInfo.Read(words.GetRequiredValue(path), ReadFormat(words, format)),
                words.InvocationConfiguration.Output);
            return ExitCode.Success;
        });
        return command;
    }

    private static string ReadFormat(ParseResult words, Option<string> format)
        => DriveText.ParseFormat(format.Name, words.GetValue(format) ?? "raw");

    private static void Create(string path, string size, string format)
    {
        long bytes = SizeText.Parse("size", size);
        if (bytes == 0 || bytes % SectorBytes != 0)
        {
            throw new UsageException(
                $"size: {size} is no disk; allowed: a multiple of {SectorBytes} bytes, such as 1G");
        }

        BlockFormat.Named(format).Create(path, bytes);
    }

    private static void Describe(ImageInfo image, TextWriter output)
    {
        output.WriteLine($"image: {image.Path}");
        output.WriteLine($"format: {image.Format}");
        output.WriteLine($"size: {SizeText.Write(image.LengthBytes)} ({image.LengthBytes} bytes)");
        output.WriteLine($"on the host: {SizeText.Write(image.AllocatedBytes)} ({image.AllocatedBytes} bytes)");
        if (image.LengthBytes == 0 || image.LengthBytes % SectorBytes != 0)
        {
            throw new FailureException($"{image.Path}: {image.LengthBytes} bytes are no disk; "
                + $"allowed: a multiple of {SectorBytes}");
        }
    }
}
