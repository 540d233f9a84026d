using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Hypervisor.Sessions;

/// <summary>
/// Follows the steps that the embedded guest prints, and finds holes, repeats and garbage among them.
/// </summary>
internal sealed class StepSequence
{
    private const string Mark = "step ";
    private const int LineBytesMax = 4096;

    private readonly List<byte> _line = [];

    /// <summary>The first step seen; -1 before.</summary>
    public long FirstStep { get; private set; } = -1;

    /// <summary>The last step seen; -1 before.</summary>
    public long LastStep { get; private set; } = -1;

    /// <summary>What is wrong with the sequence; null while nothing is.</summary>
    public string? Fault { get; private set; }

    /// <summary>The outside saw <paramref name="bytes"/>.</summary>
    public void OnOutput(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            if (value == '\n')
            {
                OnLine(Encoding.UTF8.GetString([.. _line]));
                _line.Clear();
            }
            else if (_line.Count < LineBytesMax)
            {
                _line.Add(value);
            }
        }
    }

    private void OnLine(string line)
    {
        if (!line.StartsWith(Mark, StringComparison.Ordinal))
        {
            return;
        }

        ReadOnlySpan<char> number = line.AsSpan(Mark.Length).TrimEnd();
        int end = number.IndexOf(' ');
        number = end < 0 ? number : number[..end];
        if (!long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long step))
        {
            Fault ??= $"a step is no number: '{line.TrimEnd()}'";
            return;
        }

        if (LastStep >= 0 && step != LastStep + 1)
        {
            Fault ??= $"step {LastStep} was followed by step {step}";
        }

        FirstStep = FirstStep < 0 ? step : FirstStep;
        LastStep = step;
    }
}
