using System;
using Hypervisor.Devices.Virtio;

namespace Hypervisor.CommandLine;

/// <summary>`--balloon virtio[,deflate-on-oom=on|off][,free-page-reporting=on|off]`, or `none`.</summary>
internal static class BalloonText
{
    private const string Virtio = "virtio", None = "none";
    private const string DeflateOnOom = "deflate-on-oom", FreePageReporting = "free-page-reporting";

    /// <summary>Parses the option's value; null: no balloon.</summary>
    /// <exception cref="UsageException">A word that is not understood.</exception>
    public static VirtioBalloonOptions? Parse(string option, string? text)
    {
        if (text is null or None)
        {
            return null;
        }

        int comma = text.IndexOf(',', StringComparison.Ordinal);
        string kind = comma < 0 ? text : text[..comma];
        if (kind != Virtio)
        {
            throw new UsageException($"{option} {text}: '{kind}' is not known; allowed: virtio[,{DeflateOnOom}=on|off]"
                + $"[,{FreePageReporting}=on|off], none");
        }

        PropertyList properties = PropertyList.Parse(
            $"{option} {text}", comma < 0 ? "" : text[(comma + 1)..], DeflateOnOom, FreePageReporting);
        return new VirtioBalloonOptions
        {
            DeflatesOnOutOfMemory = properties.IsOn(DeflateOnOom, otherwise: false),
            ReportsFreePages = properties.IsOn(FreePageReporting, otherwise: false),
        };
    }

    /// <summary>Writes a balloon as the option's value, such that <see cref="Parse"/> reads it back.</summary>
    public static string Write(VirtioBalloonOptions balloon)
        => $"{Virtio},{DeflateOnOom}={(balloon.DeflatesOnOutOfMemory ? "on" : "off")}"
            + $",{FreePageReporting}={(balloon.ReportsFreePages ? "on" : "off")}";
}
