using System;
using Hypervisor.Core;

namespace Hypervisor.Cpu.Translation;

/// <summary>A part of the translation cache that is filled as a whole and evicted as a whole.</summary>
/// <remarks>Its code and cold code, records, links and far links are ranges of those of the cache.</remarks>
internal sealed unsafe class CacheSegment
{
    private readonly byte* _records;
    private readonly long _recordBytes;
    private readonly int _linksMax;
    private readonly int _farMax;
    private long _fixedBytes;
    private long _recordsUsed;

    /// <param name="code">For code.</param>
    /// <param name="cold">For code that runs rarely.</param>
    /// <param name="records">For records, <paramref name="recordBytes"/> of them.</param>
    /// <param name="recordBytes">Size of that.</param>
    /// <param name="firstLink">Number of the first link, and <paramref name="linksMax"/> of them.</param>
    /// <param name="linksMax">How many.</param>
    /// <param name="firstFar">Number of the first far link, and <paramref name="farMax"/> of them.</param>
    /// <param name="farMax">How many.</param>
    internal CacheSegment(
        CodeMemory code, CodeMemory cold, byte* records, long recordBytes, int firstLink, int linksMax, int firstFar,
        int farMax)
    {
        Code = code;
        Cold = cold;
        _records = records;
        _recordBytes = recordBytes;
        FirstLink = firstLink;
        _linksMax = linksMax;
        FirstFar = firstFar;
        _farMax = farMax;
    }

    /// <summary>Code.</summary>
    internal CodeMemory Code { get; }

    /// <summary>Code that runs rarely.</summary>
    internal CodeMemory Cold { get; }

    /// <summary>Number of its first link.</summary>
    internal int FirstLink { get; }

    /// <summary>Links that are taken.</summary>
    internal int LinkCount { get; private set; }

    /// <summary>Number of its first far link.</summary>
    internal int FirstFar { get; }

    /// <summary>Far links that are taken.</summary>
    internal int FarCount { get; private set; }

    /// <summary>The block that came last; they are chained by <see cref="TranslatedBlock.NextInSegment"/>.</summary>
    internal TranslatedBlock* LastBlock { get; set; }

    /// <summary>Whether there is room for another block.</summary>
    internal bool HasRoom(in BlockBounds bounds)
        => Code.FreeBytes >= bounds.CodeBytes && Cold.FreeBytes >= bounds.CodeBytes
            && _recordBytes - _recordsUsed >= bounds.RecordBytes
            && _linksMax - LinkCount >= bounds.Links && _farMax - FarCount >= bounds.FarLinks;

    /// <summary>A zeroed record that lives until the segment is emptied.</summary>
    internal T* Record<T>()
        where T : unmanaged
    {
        int bytes = (sizeof(T) + 15) & ~15;
        Check.That(_recordBytes - _recordsUsed >= bytes);
        byte* record = _records + _recordsUsed;
        _recordsUsed += bytes;
        new Span<byte>(record, bytes).Clear();
        return (T*)record;
    }

    /// <summary>The number of a link.</summary>
    internal int NewLink()
    {
        Check.That(LinkCount < _linksMax);
        return FirstLink + LinkCount++;
    }

    /// <summary>The number of a far link.</summary>
    internal int NewFar()
    {
        Check.That(FarCount < _farMax);
        return FirstFar + FarCount++;
    }

    /// <summary>Keeps the code that there is now, whatever is emptied.</summary>
    internal void KeepFixed() => _fixedBytes = Code.UsedBytes;

    /// <summary>Forgets all that is in it.</summary>
    internal void Empty()
    {
        Code.Truncate(_fixedBytes);
        Cold.Clear();
        _recordsUsed = 0;
        LinkCount = 0;
        FarCount = 0;
        LastBlock = null;
    }
}

/// <summary>What one block needs at most.</summary>
/// <param name="CodeBytes">Code, and as much that runs rarely.</param>
/// <param name="RecordBytes">Records.</param>
/// <param name="Links">Links.</param>
/// <param name="FarLinks">Far links.</param>
internal readonly record struct BlockBounds(int CodeBytes, int RecordBytes, int Links, int FarLinks);
