namespace Hypervisor.Sessions;

/// <summary>One line of a boot test's script.</summary>
/// <param name="IsExpect">Whether to wait for <paramref name="Text"/>; otherwise it is typed.</param>
/// <param name="Text">What the guest prints, or what is typed.</param>
internal sealed record BootStep(bool IsExpect, string Text)
{
    /// <summary>For messages: `expect 'login:'`.</summary>
    public override string ToString() => $"{(IsExpect ? "expect" : "send")} '{Text}'";
}
