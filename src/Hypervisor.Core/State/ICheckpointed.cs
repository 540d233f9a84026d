namespace Hypervisor.Core.State;

/// <summary>A component whose state is one section of every checkpoint.</summary>
public interface ICheckpointed
{
    /// <summary>Identity and current format version of the section.</summary>
    SectionId Section { get; }

    /// <summary>
    /// Moves every guest-visible field through <paramref name="state"/>, in one fixed order, for saving and loading
    /// alike. A field added in version n is guarded by <c>state.Since(n)</c>; its default must mean "as before".
    /// </summary>
    void Transfer(ref StateCodec state);
}

/// <summary>Names one section of a checkpoint.</summary>
/// <param name="Tag">Kind of component, four ASCII characters, never reused. See src/FORMATS.md.</param>
/// <param name="Instance">Which one of several components of that kind, from 0.</param>
/// <param name="Version">Format this build writes; older ones are still read.</param>
public readonly record struct SectionId(uint Tag, ushort Instance, ushort Version);
