using System;
using System.Numerics;
using System.Threading;

namespace Hypervisor.Replication.Session;

/// <summary>How long something took, as a histogram of bounded size: 16 steps per doubling, each 6 % wide.</summary>
internal sealed class PauseTimes
{
    private const int StepBits = 4;
    private const int Buckets = (64 - StepBits) << StepBits;

    private readonly Lock _lock = new(); // protects the fields below
    private readonly long[] _counts = new long[Buckets];
    private long _count;
    private long _maxNanos;
    private long _totalNanos;

    /// <summary>Takes in one duration.</summary>
    public void Add(long nanos)
    {
        lock (_lock)
        {
            _counts[Bucket((ulong)Math.Max(0, nanos))]++;
            _count++;
            _maxNanos = Math.Max(_maxNanos, nanos);
            _totalNanos += nanos;
        }
    }

    /// <summary>Median, 99th percentile and longest so far.</summary>
    public PauseSummary Summarize()
    {
        lock (_lock)
        {
            return new PauseSummary(_count, Percentile(50), Percentile(99), _maxNanos) { TotalNanos = _totalNanos };
        }
    }

    /// <summary>How many of each length: entry n of 2^n nanoseconds and more, but not twice as much.</summary>
    public long[] CountByLog2()
    {
        lock (_lock)
        {
            long[] counts = new long[64];
            for (int bucket = 0; bucket < Buckets; bucket++)
            {
                counts[BitOperations.Log2((ulong)UpperBound(bucket) | 1)] += _counts[bucket];
            }

            return counts;
        }
    }

    private long Percentile(int percent)
    {
        long rank = ((_count * percent) + 99) / 100;
        long seen = 0;
        for (int bucket = 0; bucket < Buckets && rank > 0; bucket++)
        {
            seen += _counts[bucket];
            if (seen >= rank)
            {
                return Math.Min(_maxNanos, UpperBound(bucket));
            }
        }

        return _maxNanos;
    }

    private static int Bucket(ulong nanos)
    {
        if (nanos < 1 << StepBits)
        {
            return (int)nanos;
        }

        int log = BitOperations.Log2(nanos);
        int step = (int)(nanos >> (log - StepBits)) & ((1 << StepBits) - 1);
        return ((log - StepBits + 1) << StepBits) + step;
    }

    private static long UpperBound(int bucket)
    {
        int group = bucket >> StepBits;
        int step = bucket & ((1 << StepBits) - 1);
        return group == 0 ? step : ((((1L << StepBits) + step + 1) << (group - 1)) - 1);
    }
}
