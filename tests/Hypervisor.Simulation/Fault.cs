namespace Hypervisor.Simulation;

/// <summary>What can go wrong, or is asked for, in a run.</summary>
internal enum Fault
{
    PrimaryDies,
    PrimaryLosesPower,
    StandbyDies,
    StandbyLosesPower,
    BothLosePower,
    PrimaryHangs,
    StandbyHangs,
    LinkBreaks,
    NetworkDown,
    OneWayDown,
    WitnessAway,
    FrameBitFlips,
    StagedBitFlips,
    JournalFull,
    StandbyDiskFails,
    CaptureFails,
    SecondPrimary,
    PlannedEnd,
    TakeoverAskedFor,

    // With Extras.More.
    NetworkSlow,
    PrimaryConnectsTwice,
    PrimaryDiskSlow,
    StandbyDiskSlow,
    PrimaryDiskFails,
    CopyCutOff,

    // With Extras.ClockJumps.
    PrimaryClockJumps,
    StandbyClockJumps,
}
