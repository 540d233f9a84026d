using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using Hypervisor.Core.Host;
using Hypervisor.TestKit;

namespace Hypervisor.Benchmarks.Network;

/// <summary>
/// A cable between two network namespaces that loses and delays frames: what `tc netem` does, also where the kernel was
/// built without it (CONFIG_NET_SCH_NETEM), and from a seed.
/// </summary>
internal sealed class WeatherCable : IDisposable
{
    private const int FrameBytesMax = 70_000; // the largest that TAP gives, with its header
    private const int WaitingMax = 10_000; // as a switch's buffer: what finds no room is lost

    private readonly HostTap[] _ends;
    private readonly Direction[] _directions;

    /// <summary>Lays it: an interface of the name in each namespace.</summary>
    public WeatherCable(
        (NetworkNamespace Space, string Interface) left, (NetworkNamespace Space, string Interface) right, int seed)
    {
        _ends =
        [
            left.Space.Inside(() => HostTap.Open(left.Interface, 1)[0]),
            right.Space.Inside(() => HostTap.Open(right.Interface, 1)[0]),
        ];
        _directions = [new(_ends[0], _ends[1], seed), new(_ends[1], _ends[0], seed + 1)];
    }

    /// <summary>Changes the weather for frames from now on.</summary>
    public void Set(Weather weather) => Array.ForEach(_directions, direction => direction.Set(weather));

    /// <inheritdoc/>
    public void Dispose()
    {
        Array.ForEach(_ends, end => end.Stop());
        Array.ForEach(_directions, direction => direction.Join());
        Array.ForEach(_ends, end => end.Dispose());
    }

    private sealed class Direction
    {
        private readonly HostTap _source;
        private readonly HostTap _target;
        private readonly Random _random;
        private readonly Thread _reader;
        private readonly Thread _writer;
        private readonly object _lock = new(); // of all below; a monitor, because the writer waits on it
        private readonly PriorityQueue<byte[], long> _waiting = new(); // by the tick at which they are due
        private Weather _weather;
        private bool _isOver;

        public Direction(HostTap source, HostTap target, int seed)
        {
            _source = source;
            _target = target;
            _random = new Random(seed);
            _reader = new Thread(Read) { IsBackground = true, Name = "cable in" };
            _writer = new Thread(Write) { IsBackground = true, Name = "cable out" };
            _reader.Start();
            _writer.Start();
        }

        public void Set(Weather weather)
        {
            lock (_lock)
            {
                _weather = weather;
            }
        }

        public void Join()
        {
            _reader.Join();
            _writer.Join();
        }

        private void Read()
        {
            byte[] frame = new byte[FrameBytesMax];
            for (int length; (length = _source.Read(frame)) >= 0;)
            {
                lock (_lock)
                {
                    if (length > 0 && _waiting.Count < WaitingMax && _random.NextDouble() >= _weather.Loss)
                    {
                        double millis = _weather.DelayMillis + (_random.NextDouble() * _weather.JitterMillis);
                        _waiting.Enqueue(
                            frame[..length],
                            Stopwatch.GetTimestamp() + (long)(millis * Stopwatch.Frequency / 1000));
                        Monitor.Pulse(_lock);
                    }
                }
            }

            lock (_lock)
            {
                _isOver = true;
                Monitor.Pulse(_lock);
            }
        }

        private void Write()
        {
            while (Next() is { } frame)
            {
                _target.Write(frame);
            }
        }

        // The next frame at its time; null once the cable is taken away.
        private byte[]? Next()
        {
            lock (_lock)
            {
                while (!_isOver)
                {
                    if (!_waiting.TryPeek(out _, out long due))
                    {
                        _ = Monitor.Wait(_lock);
                        continue;
                    }

                    TimeSpan rest = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), due);
                    if (rest <= TimeSpan.Zero)
                    {
                        return _waiting.Dequeue();
                    }

                    _ = Monitor.Wait(_lock, rest + TimeSpan.FromMilliseconds(1)); // whole ones only, and not less
                }

                return null;
            }
        }
    }
}
