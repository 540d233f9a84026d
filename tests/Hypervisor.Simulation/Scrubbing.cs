namespace Hypervisor.Simulation;

/// <summary>Whether a run compares the two halves while the guest runs.</summary>
internal enum Scrubbing
{
    /// <summary>Not at all: the schedules of all seeds are those of before there were scrubs.</summary>
    None,

    /// <summary>Now and then, beside the faults of the run: there is nothing to find.</summary>
    Sound,

    /// <summary>Once, without other faults, after a bit of the standby's copy has changed by itself.</summary>
    Decayed,
}
