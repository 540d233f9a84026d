namespace Hypervisor.Benchmarks.Network;

/// <summary>What a cable does to frames, in both directions.</summary>
/// <param name="Loss">Share that is lost, 0 to 1.</param>
/// <param name="DelayMillis">Shortest time on the way.</param>
/// <param name="JitterMillis">How much longer it may take, evenly spread: frames overtake each other.</param>
internal readonly record struct Weather(double Loss, double DelayMillis, double JitterMillis);
