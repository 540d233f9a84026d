using System;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Host;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Link;

/// <content>Frames whose bulk is compressed.</content>
internal sealed partial class TcpLink
{
    private BlockCodec? _codec; // set before the first frame that it is for; see Agree
    private byte[] _packed = []; // of the writer at a primary, of the reader at a standby

    /// <summary>
    /// Both halves agreed on a way to compress: at a primary for what it sends from now on, at a standby before it says
    /// so. At most once.
    /// </summary>
    public void Agree(Compressions agreed, int zstdLevel)
    {
        Check.That(_codec is null);
        lock (_end)
        {
            if (_threads > 0 && LinkCompression.Open(agreed, zstdLevel) is { } codec)
            {
                _packed = GC.AllocateUninitializedArray<byte>(PackedPayload.BytesMax);
                Volatile.Write(ref _codec, codec); // pairs with the reader and the writer
            }
        }
    }

    /// <summary>Receives and restores a packed payload; the header then has the plain one's length.</summary>
    private ReceiveBuffer ReceivePacked(ref FrameHeader header, long startNanos)
    {
        BlockCodec codec = Volatile.Read(ref _codec) // pairs with Agree
            ?? throw new WireFormatException($"{header.Kind} is packed, and no compression was agreed on");
        Span<byte> packed = _packed.AsSpan(0, header.PayloadBytes);
        _ = Receive(packed, startNanos);
        ReceiveBuffer buffer = _pool.Rent(PackedPayload.PlainBytes(header.Kind, packed));
        try
        {
            PackedPayload.Expand(header.Kind, packed, codec, buffer.Memory.Span);
        }
        catch
        {
            buffer.Dispose();
            throw;
        }

        header = header with { PayloadBytes = buffer.Memory.Length };
        return buffer;
    }
}
