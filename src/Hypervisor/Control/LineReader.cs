using System;
using System.Net.Sockets;

namespace Hypervisor.Control;

/// <summary>Lines of a socket, one after the other. For one thread.</summary>
internal sealed class LineReader(Socket socket)
{
    /// <summary>Longest line, without its end: far more than any request or answer has.</summary>
    public const int LineBytesMax = 64 << 10;

    private readonly byte[] _buffer = new byte[LineBytesMax + 1];
    private int _startBytes;
    private int _endBytes;
    private bool _isSkipping;

    /// <summary>Waits for a line.</summary>
    /// <param name="line">The line without its end, valid until the next call; empty when it was too long.</param>
    /// <param name="isTooLong">Whether there was a line that is longer than allowed; it is skipped.</param>
    /// <returns>False when the other side has closed, or the socket's patience is over.</returns>
    /// <exception cref="SocketException">The connection is lost, or nothing came in time.</exception>
    public bool TryRead(out ReadOnlyMemory<byte> line, out bool isTooLong)
    {
        line = default;
        isTooLong = false;
        int searchedBytes = 0;
        while (true)
        {
            ReadOnlySpan<byte> unread = _buffer.AsSpan(_startBytes.._endBytes);
            int lengthBytes = unread[searchedBytes..].IndexOf((byte)'\n');
            if (lengthBytes >= 0)
            {
                lengthBytes += searchedBytes;
                line = _buffer.AsMemory(_startBytes, lengthBytes);
                _startBytes += lengthBytes + 1;
                isTooLong = _isSkipping;
                line = _isSkipping ? default : line;
                _isSkipping = false;
                return true;
            }

            searchedBytes = unread.Length;
            if (unread.Length == _buffer.Length)
            {
                _isSkipping = true;
                _startBytes = _endBytes = searchedBytes = 0;
            }

            if (!TryFill())
            {
                return false;
            }
        }
    }

    private bool TryFill()
    {
        if (_startBytes > 0)
        {
            _buffer.AsSpan(_startBytes.._endBytes).CopyTo(_buffer);
            _endBytes -= _startBytes;
            _startBytes = 0;
        }

        int receivedBytes = socket.Receive(_buffer.AsSpan(_endBytes));
        _endBytes += receivedBytes;
        return receivedBytes > 0;
    }
}
