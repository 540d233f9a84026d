using System;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hypervisor.Control;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed class GuestStatusJsonTests
{
    public static TheoryData<string> Roles => ["alone", "primary", "standby"];

    [Theory]
    [MemberData(nameof(Roles))]
    public void Every_field_comes_back(string role)
    {
        GuestStatus status = Of(role);
        string line = LineOf(status);

        GuestStatus read = GuestStatusJson.Read(JsonDocument.Parse(line).RootElement);

        Assert.Equivalent(status, read, strict: true);
        Assert.Equal(line, LineOf(read));
    }

    [Fact]
    public void Line_has_one_line_end()
        => Assert.Equal(LineOf(Samples.Primary).Length - 1, LineOf(Samples.Primary).IndexOf('\n'));

    [Fact]
    public void Incarnation_is_text_because_it_has_64_bits()
        => Assert.Contains("\"incarnation\":\"fedcba9876543210\"", LineOf(Samples.Primary), StringComparison.Ordinal);

    [Fact]
    public void Missing_field_is_refused_whichever_it_is()
    {
        var whole = (JsonObject)JsonNode.Parse(LineOf(Samples.Primary))!;
        string[] names = [.. whole.Select(field => field.Key)];

        Assert.All(names.Except(["ok", "instructions", "balloon"]), name =>
        {
            var part = (JsonObject)whole.DeepClone();
            _ = part.Remove(name);
            _ = Assert.Throws<JsonException>(() => Read(part));
        });
    }

    [Fact]
    public void Field_of_another_kind_is_refused_whichever_it_is()
    {
        var whole = (JsonObject)JsonNode.Parse(LineOf(Samples.Primary))!;

        Assert.All(whole.Select(field => field.Key).Where(name => name != "ok"), name =>
        {
            var other = (JsonObject)whole.DeepClone();
            other[name] = JsonNode.Parse(name is "guest" or "state" or "reason" or "lastEvent" ? "7" : "\"?\"");
            _ = Assert.Throws<JsonException>(() => Read(other));
        });
    }

    private static GuestStatus Of(string role) => role switch
    {
        "alone" => Samples.Alone,
        "primary" => Samples.Primary,
        _ => Samples.Standby,
    };

    private static string LineOf(GuestStatus status) => Encoding.UTF8.GetString(ControlAnswer.Of(status).Span);

    private static GuestStatus Read(JsonObject json)
        => GuestStatusJson.Read(JsonDocument.Parse(json.ToJsonString()).RootElement);
}
