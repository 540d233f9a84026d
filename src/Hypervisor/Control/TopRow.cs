namespace Hypervisor.Control;

/// <summary>One line of the live view.</summary>
/// <param name="Text">What it says.</param>
/// <param name="Tone">How it is meant.</param>
internal readonly record struct TopRow(string Text, TopTone Tone = TopTone.Plain);
