using System;
using System.Globalization;
using System.Text;
using Hypervisor.CommandLine;

namespace Hypervisor.Sessions;

/// <summary>What `--send TEXT` types: the text and Enter, with the escapes of printf.</summary>
internal static class SendText
{
    private const string Allowed = @"allowed: \n \r \t \e \\ \xHH, and \c at the end for no Enter";

    /// <summary>Resolves escapes; adds the carriage return that the Enter key sends.</summary>
    /// <exception cref="UsageException">An unknown escape.</exception>
    public static string Parse(string text)
    {
        var typed = new StringBuilder(text.Length + 1);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                typed.Append(text[i]);
                continue;
            }

            char escape = ++i < text.Length ? text[i] : '\0';
            if (escape == 'c' && i == text.Length - 1)
            {
                return typed.ToString();
            }

            typed.Append(escape switch
            {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'e' => '\e',
                '\\' => '\\',
                'x' when TryHex(text, i + 1, out char code) => code,
                _ => throw new UsageException($"--send: '{text}' has an unknown escape at column {i}; {Allowed}"),
            });
            i += escape == 'x' ? 2 : 0;
        }

        return typed.Append('\r').ToString();
    }

    private static bool TryHex(string text, int start, out char code)
    {
        bool isHex = byte.TryParse(
            text.AsSpan(start, Math.Min(2, text.Length - start)),
            NumberStyles.AllowHexSpecifier,
            CultureInfo.InvariantCulture,
            out byte value);
        code = (char)value;
        return isHex && start + 2 <= text.Length;
    }
}
