using System;
using System.Collections.Generic;

namespace Hypervisor.Sessions;

/// <summary>
/// Joins the console of the primary and, after a takeover, that of the standby into the one that the outside sees, and
/// proves that nothing was lost, doubled or invented at the seam (fault-tolerance rules 1, 3 and 5).
/// </summary>
/// <remarks>
/// The standby cannot know how much of the last committed epoch's output its primary had let out, so it prints all of
/// it again and says where it begins. What was seen before is dropped here, after a comparison byte by byte.
/// <code>
/// primary   |---------------- seen ----------------|
/// standby                      |-- seen before -----|-- new ----------
///                              ^ position of the takeover
/// </code>
/// One thread.
/// </remarks>
internal sealed class ConsoleStitch(ConsoleStitch.Output output)
{
    private const int KeptBytesMax = 4 << 20; // more than an epoch can hold back

    private readonly List<byte> _kept = []; // the last bytes of the primary, for the comparison
    private readonly List<byte> _waiting = []; // the standby's, until both ends of the seam are known
    private long _seenBytes;
    private long _position = -1;
    private bool _hasPrimaryEnded;

    /// <summary>Gets the joined console.</summary>
    public delegate void Output(ReadOnlySpan<byte> bytes);

    /// <summary>What is wrong with the seam; null while nothing is.</summary>
    public string? Fault { get; private set; }

    /// <summary>Bytes that the standby printed again and that were the same.</summary>
    public long RepeatedBytes { get; private set; }

    /// <summary>Whether the standby's console follows the primary's.</summary>
    public bool IsJoined => _hasPrimaryEnded && _position >= 0;

    /// <summary>The primary printed.</summary>
    public void OnPrimary(ReadOnlySpan<byte> bytes)
    {
        _seenBytes += bytes.Length;
        _kept.AddRange(bytes);
        if (_kept.Count > 2 * KeptBytesMax)
        {
            _kept.RemoveRange(0, _kept.Count - KeptBytesMax);
        }

        output(bytes);
    }

    /// <summary>Everything that the primary printed was passed to <see cref="OnPrimary"/>.</summary>
    public void OnPrimaryEnded()
    {
        _hasPrimaryEnded = true;
        Join();
    }

    /// <summary>The standby took over, and its console begins at <paramref name="position"/>.</summary>
    public void OnTakeover(long position)
    {
        _position = position;
        Join();
    }

    /// <summary>The standby printed.</summary>
    public void OnStandby(ReadOnlySpan<byte> bytes)
    {
        _waiting.AddRange(bytes);
        if (IsJoined)
        {
            Join();
        }
    }

    private void Join()
    {
        if (!IsJoined)
        {
            return;
        }

        if (_position > _seenBytes)
        {
            Fault ??= $"output was lost: {_seenBytes} bytes were seen, the standby goes on at byte {_position}";
        }

        int repeated = (int)Math.Clamp(_seenBytes - _position, 0, _waiting.Count);
        Compare(repeated);
        ReadOnlySpan<byte> fresh = _waiting.ToArray().AsSpan(repeated);
        _position += _waiting.Count;
        _seenBytes = Math.Max(_seenBytes, _position);
        _waiting.Clear();
        output(fresh);
    }

    private void Compare(int repeated)
    {
        long firstKept = _seenBytes - _kept.Count;
        for (int i = 0; i < repeated; i++)
        {
            long at = _position + i - firstKept;
            if (at < 0 || _kept[(int)at] != _waiting[i])
            {
                Fault ??= $"output was let out that no committed epoch implies: byte {_position + i} differs";
                return;
            }
        }

        RepeatedBytes += repeated;
    }
}
