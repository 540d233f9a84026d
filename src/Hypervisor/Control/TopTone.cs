namespace Hypervisor.Control;

/// <summary>How a line of the live view is meant.</summary>
internal enum TopTone
{
    /// <summary>A fact.</summary>
    Plain,

    /// <summary>As it should be.</summary>
    Good,

    /// <summary>Not as it should be.</summary>
    Bad,

    /// <summary>A name of what is below.</summary>
    Heading,
}
