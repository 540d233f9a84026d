using System;
using System.Collections.Generic;
using System.Linq;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>Resident memory over time.</summary>
/// <param name="name">What is sampled.</param>
/// <param name="size">What there is of it now, in MiB.</param>
internal sealed class MemoryTrend(string name, Func<double> size)
{
    private readonly List<(double Minutes, double Mebibytes)> _samples = [];

    /// <summary>What is sampled.</summary>
    public string Name => name;

    /// <summary>Takes a sample, so many minutes from the start, and returns it in MiB.</summary>
    public double Sample(double minutes)
    {
        double mebibytes = size();
        _samples.Add((minutes, mebibytes));
        return mebibytes;
    }

    /// <summary>Median from one minute up to another, in MiB.</summary>
    public double Median(double first, double last)
        => Figures.Median(Between(first, last).Select(sample => sample.Mebibytes));

    /// <summary>Largest, in MiB.</summary>
    public double Max() => _samples.Select(sample => sample.Mebibytes).DefaultIfEmpty(double.NaN).Max();

    /// <summary>Slope of the straight line that fits best from a minute on, in MiB an hour.</summary>
    public double SlopePerHour(double first)
    {
        (double Minutes, double Mebibytes)[] samples = [.. Between(first, double.PositiveInfinity)];
        if (samples.Length < 2)
        {
            return double.NaN;
        }

        double x = samples.Average(sample => sample.Minutes), y = samples.Average(sample => sample.Mebibytes);
        double above = samples.Sum(sample => (sample.Minutes - x) * (sample.Mebibytes - y));
        return above / samples.Sum(sample => Math.Pow(sample.Minutes - x, 2)) * 60;
    }

    private IEnumerable<(double Minutes, double Mebibytes)> Between(double first, double last)
        => _samples.Where(sample => sample.Minutes >= first && sample.Minutes < last);
}
