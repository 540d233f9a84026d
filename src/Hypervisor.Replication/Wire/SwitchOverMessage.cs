using System;

namespace Hypervisor.Replication.Wire;

/// <summary>A step of a planned switch-over: the standby becomes the runner while both sides are well.</summary>
/// <remarks><code>step u8 | reason text (u8 length, UTF-8)</code></remarks>
internal sealed class SwitchOverMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.SwitchOver;

    /// <inheritdoc/>
    public override int FieldBytes => sizeof(byte) + WireWriter.TextBytes(Reason);

    /// <summary>Which one.</summary>
    public required SwitchOverStep Step { get; init; }

    /// <summary>Why it is refused, for people; else empty.</summary>
    public string Reason { get; init; } = "";

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U8((byte)Step);
        writer.Text(Reason);
    }

    internal static SwitchOverMessage Read(ref WireReader reader)
    {
        var step = (SwitchOverStep)reader.U8("step");
        return step is < SwitchOverStep.Offer or > SwitchOverStep.Refused
            ? throw reader.Bad("step", $"{(byte)step}, allowed are 1 to 5")
            : new SwitchOverMessage { Step = step, Reason = reader.Text("reason") };
    }
}
