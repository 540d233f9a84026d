using System;
using System.Security.Cryptography;
using System.Threading;
using Hypervisor.Core.State;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <content>The full copy: from the announcement of a machine to a copy that may be promoted.</content>
internal sealed partial class StandbyWorker
{
    private void DoBegin(HelloMessage hello, ReplicaPoint point)
    {
        _hasFailed = false;
        _incarnation = hello.Incarnation;
        _generation = hello.Generation;
        _appliedEpoch = 0;
        _journal.FlushDisks(); // what follows forgets the journal: the disks must stand at the point by themselves
        Mark(StandbyPhase.Incomplete, point);
        _journal.Begin(_incarnation);
        if (_machine is null)
        {
            Volatile.Write(ref _machine, _setup.CreateMachine(hello.Machine)); // pairs with Machine
        }

        CheckMachine(hello.Machine, _machine);
        CheckShared();
        _digest ??= new RamDigest(_machine.Ram.PageCount);
    }

    /// <summary>The machine that was built must be the one that was announced, section by section (rule 43).</summary>
    private static void CheckMachine(MachineIdentity announced, IProtectedMachine built)
    {
        if (built.Ram.LengthBytes != announced.RamBytes)
        {
            throw new StateFormatException(
                $"RAM: the primary has {announced.RamBytes} bytes, the standby has {built.Ram.LengthBytes}");
        }

        if (built.Components.Count != announced.Sections.Count)
        {
            throw new StateFormatException($"sections: the primary has {announced.Sections.Count}, "
                + $"the standby has {built.Components.Count}");
        }

        for (int i = 0; i < built.Components.Count; i++)
        {
            SectionId here = built.Components[i].Section;
            SectionFormat there = announced.Sections[i];
            if (there.Tag != here.Tag || there.Instance != here.Instance || there.Version > here.Version)
            {
                throw new StateFormatException($"section {i}: the primary has {there.Tag:X8}.{there.Instance} "
                    + $"version {there.Version}, the standby has {here.Tag:X8}.{here.Instance} version {here.Version}");
            }
        }
    }

    private void DoCopied(Message message)
    {
        if (_hasFailed)
        {
            return;
        }

        switch (message)
        {
            case RamBlockMessage ram:
                CheckRam(ram);
                RamDelta.Apply(ram.Bulk.Span, _machine!.Ram, _digest!);
                break;
            case DiskBlockMessage { IsZero: true } block:
                _disks[block.Disk].WriteZeroes(block.OffsetBytes, block.LengthBytes);
                break;
            case DiskBlockMessage block:
                _disks[block.Disk].Write(block.OffsetBytes, block.Bulk.Span);
                break;
            case DiskDigestMessage digest:
                DoCompare(digest);
                break;
            case DiskWriteMessage write:
                DoCopiedWrite(write);
                break;
            default:
                throw new StateFormatException($"{message.Kind} is no part of a full copy");
        }
    }

    private void DoCompare(DiskDigestMessage digest)
    {
        Span<byte> here = stackalloc byte[SHA256.HashSizeInBytes];
        DiskRange range = digest.Range;
        _disks[range.Disk].Digest(range.OffsetBytes, (int)range.LengthBytes, here);
        _answers.Post(new StandbyEvent(
            StandbyEventKind.Compared, Range: range, IsSame: here.SequenceEqual(digest.Digest.Span)));
    }

    private void DoCopiedWrite(DiskWriteMessage write)
    {
        StandbyDisk disk = _disks[write.Disk];
        switch (write.Operation)
        {
            case Backends.Block.BlockOperation.Write:
                disk.Write(write.OffsetBytes, write.Bulk.Span);
                break;
            case Backends.Block.BlockOperation.WriteZeroes:
                disk.WriteZeroes(write.OffsetBytes, write.LengthBytes);
                break;
            case Backends.Block.BlockOperation.Discard:
                disk.Discard(write.OffsetBytes, write.LengthBytes);
                break;
            case Backends.Block.BlockOperation.Resize: // refused by the core
            case Backends.Block.BlockOperation.Read:
            default:
                throw new StateFormatException($"{write.Operation} is no part of a full copy");
            case Backends.Block.BlockOperation.Flush:
                break; // the copy is flushed at its end
        }
    }

    private void DoFinish(FullCopyDoneMessage done, StagedEpoch staged)
    {
        if (_hasFailed)
        {
            throw new StateFormatException("a piece of the full copy failed");
        }

        LoadSections(staged); // a state that does not load must be found now, not at a takeover
        _digest!.Recompute(_machine!.Ram); // of what is there, not of what was written there
        if (done.ContentDigests.Count != 1 || done.ContentDigests[0] != _digest.Value)
        {
            throw new StateFormatException("the digest of RAM after the full copy differs from the primary's");
        }

        _latest = staged;
        _journal.FlushDisks();
        foreach (WriteIntentLog log in _setup.Intents)
        {
            log.Forget(); // before the mark: without both nothing is known, and that is safe
        }

        Mark(StandbyPhase.Complete, new ReplicaPoint(_incarnation, 0));
    }
}
