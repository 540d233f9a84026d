using System;
using Hypervisor.Core;

namespace Hypervisor.Cpu.Translation;

/// <content>Blocks that go, one by one or a segment at a time, and what leads to them.</content>
internal sealed unsafe partial class TranslationCache
{
    // What runs rarely lies in a half of its own, so that the rest lies close together; each segment has some of both.
    private CacheSegment[] Divide(long codeBytes)
    {
        CodeMemory cold = _code.SplitOff((codeBytes * ColdShare / 100) & ~0xFFFL);
        int count = (int)Math.Clamp(codeBytes / SegmentBytesMin, SegmentsMin, SegmentsMax);
        long hotEach = (_code.FreeBytes / count) & ~0xFFFL;
        long coldEach = (cold.FreeBytes / count) & ~0xFFFL;
        long recordsEach = (RecordBytes / count) & ~0xFFFL;
        int linksEach = LinksMax / count;
        int farEach = FarLink.CountMax / count;
        var segments = new CacheSegment[count];
        for (int i = 0; i < count; i++)
        {
            segments[i] = new CacheSegment(
                _code.SplitOff(hotEach), cold.SplitOff(coldEach), _records + (i * recordsEach), recordsEach,
                i * linksEach, linksEach, i * farEach, farEach);
        }

        return segments;
    }

    // Links from other segments go to their stubs; links to other segments are taken off their targets' lists, for
    // their numbers will be given to others.
    private void Evict(CacheSegment segment)
    {
        for (TranslatedBlock* block = segment.LastBlock; block != null; block = block->NextInSegment)
        {
            if (!block->IsDropped)
            {
                DropBlock(block);
            }

            if (block->IsCrossing)
            {
                RemoveCrossing(block);
            }
        }

        for (int number = segment.FirstLink; number < segment.FirstLink + segment.LinkCount; number++)
        {
            if (_links[number].Target != null)
            {
                Detach(number);
            }
        }

        segment.Empty();
    }

    // Nobody comes in any more: direct jumps go to their stubs again, and the entry for indirect ones, which the jump
    // cache may still hold, leads out.
    private void DropBlock(TranslatedBlock* block)
    {
        Generation++;
        block->IsDropped = true;
        RemoveFromPage(block);
        _byKey.Remove(block->Key);
        Slot* slot = _slots + SlotIndex(block->Key);
        if (slot->Key == block->Key)
        {
            slot->Key = 0;
        }

        while (block->FirstLink != TranslatedBlock.NoLink)
        {
            int number = block->FirstLink;
            Detach(number);
            Unlink(_links + number);
        }

        byte* entry = block->Indirect - _toExecute;
        *entry = 0xE9;
        Emitter.Patch(entry + 1, _toExecute, block->Stale);
    }

    private void Unlink(BlockLink* link)
    {
        if (link->Far < 0)
        {
            Emitter.Patch(link->Hole, _toExecute, link->Stub);
            return;
        }

        _far[link->Far] = default;
        FarLinkCode* code = _farCodes + link->Far;
        Emitter.Patch(code->Hole, _toExecute, code->Unlinked);
    }

    private void Attach(int number, TranslatedBlock* target)
    {
        BlockLink* link = _links + number;
        link->Target = target;
        link->Previous = TranslatedBlock.NoLink;
        link->Next = target->FirstLink;
        if (link->Next != TranslatedBlock.NoLink)
        {
            _links[link->Next].Previous = number;
        }

        target->FirstLink = number;
    }

    private void Detach(int number)
    {
        BlockLink* link = _links + number;
        if (link->Previous != TranslatedBlock.NoLink)
        {
            _links[link->Previous].Next = link->Next;
        }
        else
        {
            Check.That(link->Target->FirstLink == number);
            link->Target->FirstLink = link->Next;
        }

        if (link->Next != TranslatedBlock.NoLink)
        {
            _links[link->Next].Previous = link->Previous;
        }

        link->Target = null;
    }

    private void AddToPage(TranslatedBlock* block)
    {
        block->PreviousInPage = null;
        block->NextInPage = _firstInPage[block->Page];
        if (block->NextInPage != null)
        {
            block->NextInPage->PreviousInPage = block;
        }

        _firstInPage[block->Page] = block;
    }

    // The block still knows the next one: who walks the list may drop where he stands.
    private void RemoveFromPage(TranslatedBlock* block)
    {
        if (block->PreviousInPage != null)
        {
            block->PreviousInPage->NextInPage = block->NextInPage;
        }
        else
        {
            _firstInPage[block->Page] = block->NextInPage;
        }

        if (block->NextInPage != null)
        {
            block->NextInPage->PreviousInPage = block->PreviousInPage;
        }
    }

    private void RemoveCrossing(TranslatedBlock* block)
    {
        TranslatedBlock** previous = &_firstCrossing[block->CrossedPage];
        while (*previous != block)
        {
            previous = &(*previous)->NextCrossing;
        }

        *previous = block->NextCrossing;
        block->IsCrossing = false;
    }
}
