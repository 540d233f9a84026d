using System;
using Hypervisor.CommandLine;
using Hypervisor.Control;
using Hypervisor.Machine;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Session;
using Replicator = Hypervisor.Replication.Session.PrimarySession;

namespace Hypervisor.Sessions;

/// <summary>One guest that starts here and is protected by a standby elsewhere.</summary>
internal static class PrimarySession
{
    /// <summary>Runs the guest until it ends, or until this side lost it.</summary>
    /// <param name="config">The machine.</param>
    /// <param name="terms">How the guest is protected.</param>
    /// <param name="standby">Where the standby listens.</param>
    /// <param name="report">Where events go.</param>
    /// <param name="watch">Where it is shown to the outside.</param>
    /// <returns>The exit code.</returns>
    public static int Run(
        MachineConfig config, ProtectionConfig terms, Endpoint standby, StatusReport report, GuestWatch watch)
    {
        string folder = PairFolder.Of(config, terms);
        using var guest = new ProtectableGuest(config, folder, isBooted: true);
        PrimaryOptions options = Protection.Options(terms, standby, PairFolder.NodeOf(config, folder), guest.Identity);
        PairFolder.BecomePrimary(config, folder, guest.Intents);
        using Witness witness = terms.Witness.Open(guest.Clock);
        using var protection = new Protection(
            guest, options, standby, terms.Link, witness, report, setup => new Replicator(setup));
        using IDisposable shown = watch.Show(protection);
        using var signals = new EndSignals(guest.RequestEnd);
        return protection.Watch();
    }
}
