using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Hypervisor.Backends.Block;

namespace Hypervisor.Simulation;

/// <summary>Runs the toy guest on a node: its steps, and its disk requests, which take their time.</summary>
internal sealed class GuestHost(World world, SimNode node, SimDisk[] disks, bool isTaggedAtCompletion)
{
    private readonly long _stepMicrosMax = world.Prng.Next(300, 2000);
    private readonly Queue<ToyRequest> _waiting = new(); // for the log of what is about to change; in their order
    private int _loop;
    private bool _isLooking;
    private long _lastCompletion;
    private long _slowUntil;

    public ToyMachine Machine { get; } = new();

    public bool IsRunning { get; private set; }

    /// <summary>Whether the guest ever ran in this process.</summary>
    public bool HasRun { get; private set; }

    public bool IsHeld { get; private set; }

    /// <summary>Console bytes and their offset.</summary>
    public required Action<long, byte[]> OnPrint { get; init; }

    /// <summary>A write, discard, write-zeroes or flush, at the moment at which it gets its tag.</summary>
    public required Action<ToyRequest> OnTagged { get; init; }

    /// <summary>A disk refused a request, which the guest tries again.</summary>
    public Action<ToyRequest> OnFailed { get; init; } = static _ => { };

    /// <summary>A disk gets another size.</summary>
    public void Resize(int disk, int sectors) => Machine.Resize(disk, sectors, Submit);

    /// <summary>Requests take long for a while.</summary>
    public void SlowDown(long nanos) => _slowUntil = world.Now + nanos;

    /// <summary>A change is about to be made.</summary>
    public Action<ToyRequest> OnSubmitted { get; init; } = static _ => { };

    /// <summary>Whether a change may be tagged already, and reach the disk.</summary>
    public Func<ToyRequest, bool> MayChange { get; init; } = static _ => true;

    /// <summary>It has reached the disk.</summary>
    public Action<ToyRequest> OnReached { get; init; } = static _ => { };

    /// <summary>Requests that may reach the disk at any moment.</summary>
    public IEnumerable<ToyRequest> Underway => Machine.InFlight.Where(request => !_waiting.Contains(request));

    public void Run()
    {
        IsRunning = HasRun = true;
        IsHeld = false;
        Continue();
    }

    public void Stop()
    {
        IsRunning = false;
        _loop++;
    }

    public void Hold(bool isHeld)
    {
        IsHeld = isHeld;
        if (!isHeld && IsRunning)
        {
            Continue();
        }
    }

    /// <summary>Issues again what the checkpoint holds as in flight (rules 14, 15).</summary>
    public void Reissue()
    {
        foreach (ToyRequest request in Machine.InFlight)
        {
            Submit(request);
        }
    }

    /// <summary>Whether a request that overlaps the range is on its way: it must not be copied now.</summary>
    public bool IsBusy(int disk, int sector, int count)
    {
        var range = new ToyRequest(0, disk, BlockOperation.Read, sector, count, 0);
        foreach (ToyRequest request in Machine.InFlight)
        {
            if (request.Operation != BlockOperation.Flush && request.Overlaps(range))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Disks against RAM: what the guest believes is there, or something in flight (rule 14).</summary>
    public void CheckBelieved(string where)
    {
        for (int disk = 0; disk < ToyMachine.Disks; disk++)
        {
            for (int sector = 0; sector < ToyMachine.SectorsPerDisk; sector++)
            {
                ulong value = BinaryPrimitives.ReadUInt64LittleEndian(
                    disks[disk].Bytes.AsSpan(sector * SimDisk.SectorBytes));
                if (value != Machine.Believed(disk, sector) && !IsInFlight(disk, sector, value))
                {
                    throw new RuleViolationException(
                        14,
                        $"{where}: disk {disk} sector {sector} has {value:X}, "
                        + $"completed was {Machine.Believed(disk, sector):X}");
                }
            }
        }
    }

    private bool IsInFlight(int disk, int sector, ulong value)
    {
        foreach (ToyRequest request in Machine.InFlight)
        {
            bool isThere = request.Disk == disk && request.Operation != BlockOperation.Resize
                && sector >= request.Sector && sector < request.Sector + request.Count;
            if (isThere && request.ValueAfter == value)
            {
                return true;
            }
        }

        return false;
    }

    private void Continue()
    {
        int loop = ++_loop;
        node.Post(world.Prng.Micros(1, (int)_stepMicrosMax), () => Step(loop));
    }

    private void Step(int loop)
    {
        if (loop != _loop || !IsRunning || IsHeld)
        {
            return;
        }

        node.Post(world.Prng.Micros(100, (int)_stepMicrosMax), () => Step(loop));
        Machine.Step(Submit, Print);
    }

    private void Submit(ToyRequest request)
    {
        if (request.Operation != BlockOperation.Flush)
        {
            OnSubmitted(request);
        }

        _waiting.Enqueue(request);
        LetThrough();
    }

    private void LetThrough()
    {
        while (IsRunning && _waiting.TryPeek(out ToyRequest? request)
            && (request.Operation == BlockOperation.Flush || MayChange(request)))
        {
            _ = _waiting.Dequeue();
            if (!isTaggedAtCompletion)
            {
                OnTagged(request);
            }

            Start(request);
        }

        if (_waiting.Count > 0 && !_isLooking)
        {
            _isLooking = true;
            node.Post(world.Prng.Micros(50, 500), () =>
            {
                _isLooking = false;
                LetThrough();
            });
        }
    }

    private void Start(ToyRequest request)
    {
        // In order of submission: more order than a disk gives, except where requests overlap. Slow now and then.
        long delay = world.Prng.OneIn(20) ? world.Prng.Micros(1000, 30_000) : world.Prng.Micros(50, 1500);
        delay += world.Now < _slowUntil ? delay * 10 : 0;
        long due = world.Now + delay;
        foreach (ToyRequest other in Machine.InFlight)
        {
            if (other != request && other.Id < request.Id && other.Overlaps(request))
            {
                due = Math.Max(due, _lastCompletion);
            }
        }

        _lastCompletion = Math.Max(_lastCompletion, due);
        node.Post(due - world.Now, () => Complete(request));
    }

    private void Complete(ToyRequest request)
    {
        if (!IsRunning)
        {
            return;
        }

        if (IsHeld)
        {
            node.Post(world.Prng.Micros(500, 1000), () => Complete(request));
            return;
        }

        foreach (ToyRequest other in Machine.InFlight)
        {
            if (other.Id < request.Id && other.Overlaps(request))
            {
                node.Post(world.Prng.Micros(50, 200), () => Complete(request));
                return;
            }
        }

        try
        {
            Perform(request);
        }
        catch (IOException)
        {
            OnFailed(request);
            node.Post(world.Prng.Micros(500, 3000), () => Complete(request));
            return;
        }

        if (isTaggedAtCompletion)
        {
            OnTagged(request);
        }

        if (request.Operation != BlockOperation.Flush)
        {
            OnReached(request);
        }

        Machine.Complete(request, Submit, Print);
    }

    private void Perform(ToyRequest request)
    {
        SimDisk disk = disks[request.Disk];
        long offset = request.Sector * SimDisk.SectorBytes;
        bool isRange = request.Operation is not (BlockOperation.Flush or BlockOperation.Resize);
        if (isRange && offset + (request.Count * SimDisk.SectorBytes) > disk.LengthBytes)
        {
            return; // issued again behind the resize that took its place away: it is refused, and nothing is lost
        }

        switch (request.Operation)
        {
            case BlockOperation.Write:
                disk.Write(offset, request.Data());
                break;
            case BlockOperation.Flush:
                disk.Flush();
                break;
            case BlockOperation.Resize:
                disk.Resize(request.Count * SimDisk.SectorBytes);
                break;
            default:
                disk.WriteZeroes(offset, request.Count * SimDisk.SectorBytes);
                break;
        }
    }

    private void Print(byte[] bytes) => OnPrint(Machine.ConsoleBytes - bytes.Length, bytes);
}
