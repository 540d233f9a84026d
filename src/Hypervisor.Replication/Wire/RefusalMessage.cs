using System;

namespace Hypervisor.Replication.Wire;

/// <summary>The standby does not take this primary: which field, and what each side has.</summary>
/// <remarks><code>field text | primary's value text | standby's value text (each u8 length, UTF-8)</code></remarks>
internal sealed class RefusalMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Refusal;

    /// <inheritdoc/>
    public override int FieldBytes
        => WireWriter.TextBytes(Field) + WireWriter.TextBytes(PrimaryValue) + WireWriter.TextBytes(StandbyValue);

    /// <summary>What does not fit.</summary>
    public required string Field { get; init; }

    /// <summary>Value of the Hello.</summary>
    public required string PrimaryValue { get; init; }

    /// <summary>Value of the standby.</summary>
    public required string StandbyValue { get; init; }

    /// <summary>One line for people.</summary>
    public string Text => $"{Field}: the primary has {PrimaryValue}, the standby has {StandbyValue}";

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.Text(Field);
        writer.Text(PrimaryValue);
        writer.Text(StandbyValue);
    }

    internal static RefusalMessage Read(ref WireReader reader) => new()
    {
        Field = reader.Text("field"),
        PrimaryValue = reader.Text("primary's value"),
        StandbyValue = reader.Text("standby's value"),
    };
}
