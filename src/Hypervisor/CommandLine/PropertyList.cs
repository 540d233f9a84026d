using System;
using System.Collections.Generic;
using System.Text;

namespace Hypervisor.CommandLine;

/// <summary>QEMU's `key=value,key=value` words; a comma inside a value is written twice.</summary>
internal sealed class PropertyList
{
    private readonly string _where;
    private readonly Dictionary<string, List<string>> _values = new(StringComparer.Ordinal);

    private PropertyList(string where) => _where = where;

    /// <summary>Parses <paramref name="text"/> and refuses keys that are not in <paramref name="allowed"/>.</summary>
    /// <exception cref="UsageException">An unknown or repeated key, or a part without `=`.</exception>
    public static PropertyList Parse(string where, string text, params ReadOnlySpan<string> allowed)
        => Parse(where, text, repeated: null, allowed);

    /// <summary>The same, with one more key that may be given often.</summary>
    /// <exception cref="UsageException">An unknown or repeated key, or a part without `=`.</exception>
    public static PropertyList ParseRepeated(
        string where, string text, string repeated, params ReadOnlySpan<string> allowed)
        => Parse(where, text, repeated, [repeated, .. allowed]);

    /// <summary>Doubles the commas of a value.</summary>
    public static string Quote(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    /// <summary>The value of <paramref name="key"/>, or null.</summary>
    public string? Find(string key) => _values.GetValueOrDefault(key)?[0];

    /// <summary>All values of <paramref name="key"/>, in order.</summary>
    public IReadOnlyList<string> FindAll(string key) => _values.GetValueOrDefault(key) ?? [];

    /// <summary>The value of a switch: `on` or `off`.</summary>
    /// <exception cref="UsageException">Another word.</exception>
    public bool IsOn(string key, bool otherwise) => Find(key) switch
    {
        null => otherwise,
        "on" => true,
        "off" => false,
        string value => throw new UsageException($"{_where}: {key}={value} is not understood; allowed: on, off"),
    };

    private static PropertyList Parse(string where, string text, string? repeated, ReadOnlySpan<string> allowed)
    {
        var list = new PropertyList(where);
        foreach (string part in text.Length == 0 ? [] : Split(text))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? part : part[..equals];
            if (equals < 0 || !allowed.Contains(key))
            {
                throw new UsageException(
                    $"{where}: '{part}' is not understood; allowed: {string.Join("=, ", allowed!)}=");
            }

            if (list._values.TryGetValue(key, out List<string>? values) && key != repeated)
            {
                throw new UsageException($"{where}: {key}= is given twice; allowed: once");
            }

            values ??= list._values[key] = [];
            values.Add(part[(equals + 1)..]);
        }

        return list;
    }

    private static List<string> Split(string text)
    {
        List<string> parts = [];
        var part = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != ',')
            {
                part.Append(text[i]);
            }
            else if (i + 1 < text.Length && text[i + 1] == ',')
            {
                part.Append(',');
                i++;
            }
            else
            {
                parts.Add(part.ToString());
                part.Clear();
            }
        }

        parts.Add(part.ToString());
        return parts;
    }
}
