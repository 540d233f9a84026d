namespace Hypervisor.Sessions;

/// <summary>What <see cref="PairDrill"/> wants done.</summary>
internal enum PairAction
{
    /// <summary>Nothing.</summary>
    Wait,

    /// <summary>SIGKILL to the primary.</summary>
    KillPrimary,

    /// <summary>The guest showed that it carries on: end it.</summary>
    EndStandby,

    /// <summary>The standby did not take over in time.</summary>
    GiveUp,

    /// <summary>Both are over.</summary>
    Finish,
}
