using Hypervisor.Core;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>
/// The epochs of one incarnation at the primary: open, cut, ended, acknowledged; never out of order (rule 9).
/// </summary>
/// <remarks>
/// <code>AckedEpoch ≤ EndedEpoch ≤ (cut epoch that is being captured) &lt; OpenEpoch</code>
/// </remarks>
internal sealed class EpochPipeline
{
    /// <summary>Most epochs in flight that a setting may ask for.</summary>
    public const int EpochsInFlightMax = 32;

    private const int Slots = 64; // a power of two above EpochsInFlightMax + open + being captured

    private readonly EpochDigest[] _digests = new EpochDigest[Slots];
    private readonly long[] _bytes = new long[Slots];
    private readonly long[] _cutNanos = new long[Slots];
    private uint _nextOrder;

    /// <summary>Epoch that the guest is in; disk writes carry its tag.</summary>
    public ulong OpenEpoch { get; private set; }

    /// <summary>Last epoch whose END was sent.</summary>
    public ulong EndedEpoch { get; private set; }

    /// <summary>Last epoch that was acknowledged.</summary>
    public ulong AckedEpoch { get; private set; }

    /// <summary>Whether a cut of the open epoch is requested and not yet taken.</summary>
    public bool IsCutRequested { get; private set; }

    /// <summary>Whether a cut is taken and its data is still coming.</summary>
    public bool IsCapturing { get; private set; }

    /// <summary>Payload bytes sent of epochs that are not acknowledged.</summary>
    public long UnackedBytes { get; private set; }

    /// <summary>Payload bytes sent of the open epoch: its disk writes.</summary>
    public long OpenBytes => _bytes[Slot(OpenEpoch)];

    /// <summary>Epochs that were ended and not acknowledged.</summary>
    public int InFlight => (int)(EndedEpoch - AckedEpoch);

    /// <summary>Starts an incarnation: epoch 0, the full copy, is open.</summary>
    public void Reset()
    {
        OpenEpoch = EndedEpoch = AckedEpoch = 0;
        IsCutRequested = IsCapturing = false;
        UnackedBytes = 0;
        Open(0);
    }

    /// <summary>Takes a disk write of the open epoch: after a cut none carries the older tag (rule 16).</summary>
    public void AddDiskWrite(DiskWriteMessage message)
    {
        Check.That(message.Epoch == OpenEpoch);
        message.Order = _nextOrder++;
        Add(message);
    }

    /// <summary>Takes a range to compare: of RAM at the cut, of a disk between two writes of the open epoch.</summary>
    public void AddScrub(ScrubMessage message)
    {
        Check.That(!message.IsRam || IsCapturing);
        message.Epoch = message.IsRam ? OpenEpoch - 1 : OpenEpoch;
        message.Order = message.IsRam ? 0 : _nextOrder;
        Add(message);
    }

    /// <summary>Takes captured RAM or sections of the cut, or output of the cut or the open epoch.</summary>
    public void AddCaptured(Message message)
    {
        bool isOfCut = IsCapturing && message.Epoch + 1 == OpenEpoch;
        Check.That(isOfCut || (message.Kind == MessageKind.Output && message.Epoch == OpenEpoch));
        Add(message);
    }

    /// <summary>A cut of the open epoch is on its way.</summary>
    public void RequestCut()
    {
        Check.That(!IsCutRequested && !IsCapturing);
        IsCutRequested = true;
    }

    /// <summary>The machine was cut; what it does from now on belongs to the next epoch.</summary>
    public void TakeCut(ulong epoch, long nowNanos)
    {
        Check.That(IsCutRequested && epoch == OpenEpoch);
        IsCutRequested = false;
        IsCapturing = true;
        _cutNanos[Slot(epoch)] = nowNanos;
        OpenEpoch++;
        Open(OpenEpoch);
    }

    /// <summary>Everything of the cut epoch was sent.</summary>
    public EpochTotals End(ulong epoch)
    {
        Check.That(IsCapturing && epoch + 1 == OpenEpoch);
        IsCapturing = false;
        EndedEpoch = epoch;
        return _digests[Slot(epoch)].Totals(_bytes[Slot(epoch)]);
    }

    /// <summary>The standby acknowledged an epoch.</summary>
    /// <returns>Null, or what is wrong with it.</returns>
    public string? Acknowledge(ulong epoch)
    {
        if (epoch != AckedEpoch + 1 || epoch > EndedEpoch)
        {
            return $"epoch acknowledged is {epoch}, must be {AckedEpoch + 1}, last one ended is {EndedEpoch}";
        }

        AckedEpoch = epoch;
        UnackedBytes -= _bytes[Slot(epoch)];
        return null;
    }

    /// <summary>When the oldest epoch in flight was cut; <see cref="long.MaxValue"/> when none is.</summary>
    public long OldestCutNanos => InFlight == 0 ? long.MaxValue : _cutNanos[Slot(AckedEpoch + 1)];

    private void Add(Message message)
    {
        uint checksum = message.ComputeChecksum();
        message.KnownChecksum = checksum;
        int slot = Slot(message.Epoch);
        _digests[slot].Add(message.Kind, checksum);
        _bytes[slot] += message.PayloadBytes;
        if (message.Epoch > 0)
        {
            UnackedBytes += message.PayloadBytes; // the full copy's are applied at once, and never acknowledged
        }
    }

    private void Open(ulong epoch)
    {
        _digests[Slot(epoch)] = default;
        _bytes[Slot(epoch)] = 0;
        _nextOrder = 0;
    }

    private static int Slot(ulong epoch) => (int)(epoch % Slots);
}
