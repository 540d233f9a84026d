using System.Globalization;
using System.IO;
using System.Text;
using System.Xml;

namespace Hypervisor.Sessions;

/// <summary>
/// A boot test's result as the JUnit XML that Jenkins and GitLab read: a suite with one case per step.
/// </summary>
/// <remarks>The first step that was not met is the failure; those after it were skipped.</remarks>
internal static class JUnitReport
{
    private const string Suite = "boot-test";

    /// <summary>Writes the report.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="name">Name of the machine.</param>
    /// <param name="script">The script, as far as it came.</param>
    /// <param name="failure">Why it did not come further; null when it was met.</param>
    /// <param name="endNanos">When it ended.</param>
    public static void Write(Stream output, string name, BootScript script, string? failure, long endNanos)
    {
        int done = script.DoneCount, count = script.Steps.Count;
        var settings = new XmlWriterSettings { Encoding = new UTF8Encoding(false), Indent = true };
        using var xml = XmlWriter.Create(output, settings);
        xml.WriteStartElement("testsuites");
        xml.WriteStartElement("testsuite");
        xml.WriteAttributeString("name", Clean($"{Suite}.{name}"));
        xml.WriteAttributeString("tests", Number(count));
        xml.WriteAttributeString("failures", failure is null ? "0" : "1");
        xml.WriteAttributeString("errors", "0");
        xml.WriteAttributeString("skipped", Number(failure is null ? 0 : count - done - 1));
        xml.WriteAttributeString("time", Seconds(endNanos - script.StartNanos));
        long startNanos = script.StartNanos;
        for (int i = 0; i < count; i++)
        {
            long stepEndNanos = i < done ? script.EndNanos(i) : i == done ? endNanos : startNanos;
            xml.WriteStartElement("testcase");
            xml.WriteAttributeString("classname", Clean($"{Suite}.{name}"));
            xml.WriteAttributeString("name", Clean($"{i + 1}: {script.Steps[i]}"));
            xml.WriteAttributeString("time", Seconds(stepEndNanos - startNanos));
            WriteOutcome(xml, i - done, failure, script);
            xml.WriteEndElement();
            startNanos = stepEndNanos;
        }

        xml.WriteElementString("system-out", Clean(script.LastLines(200)));
        xml.WriteEndElement();
        xml.WriteEndElement();
    }

    private static void WriteOutcome(XmlWriter xml, int afterFailure, string? failure, BootScript script)
    {
        if (afterFailure == 0 && failure is not null)
        {
            xml.WriteStartElement("failure");
            xml.WriteAttributeString("message", Clean(failure));
            xml.WriteString(Clean(script.LastLines(20)));
            xml.WriteEndElement();
        }
        else if (afterFailure > 0)
        {
            xml.WriteStartElement("skipped");
            xml.WriteEndElement();
        }
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Seconds(long nanos) => (nanos / 1e9).ToString("0.000", CultureInfo.InvariantCulture);

    /// <summary>Replaces what XML 1.0 cannot hold (section 2.2), such as the escape of a coloured line.</summary>
    private static string Clean(string text)
    {
        var clean = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]))
            {
                clean.Append(text[i]).Append(text[++i]);
            }
            else
            {
                clean.Append(XmlConvert.IsXmlChar(text[i]) ? text[i] : '\uFFFD');
            }
        }

        return clean.ToString();
    }
}
