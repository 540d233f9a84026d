using System;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>
/// The two ISA DMA controllers and their page registers, as storage: nothing on this board asks for ISA DMA.
/// </summary>
/// <remarks>Spec: Intel 8237A data sheet (231466), "Register Description"; PIIX3 data sheet (290550), 2.3.</remarks>
public sealed class DmaController8237 : ICheckpointed
{
    private const int WordCount = 8; // of one controller: address and count of four channels
    private const int ChannelsMasked = 0x0F;

    private readonly Controller[] _controllers = [new(), new()];
    private readonly byte[] _pages = new byte[15];

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x5F41_4D44, Instance: 0, Version: 1); // "DMA_"

    /// <summary>Claims ports 00-0F, C0-DF and 81-8F.</summary>
    public void Attach(PortBus ports)
    {
        Controller bytes = _controllers[0];
        Controller words = _controllers[1];
        ports.Register("DMA", 0x00, 16, new PortHandler(bytes.Read, bytes.Write), accessBytesMax: 1);
        ports.Register(
            "second DMA",
            0xC0,
            32,
            new PortHandler(offset => words.Read(offset / 2), (offset, value) => words.Write(offset / 2, value)),
            accessBytesMax: 1);
        ports.Register(
            "DMA pages",
            0x81,
            _pages.Length,
            new PortHandler(offset => _pages[offset], (offset, value) => _pages[offset] = value),
            accessBytesMax: 1);
    }

    /// <summary>Power-on state.</summary>
    public void Reset()
    {
        Array.Clear(_pages);
        foreach (Controller controller in _controllers)
        {
            controller.Reset();
        }
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.Bytes(_pages);
        foreach (Controller controller in _controllers)
        {
            controller.Transfer(ref state);
        }
    }

    private sealed class Controller
    {
        private readonly ushort[] _words = new ushort[WordCount];

        private bool _highByteNext;
        private byte _command;
        private byte _mask = ChannelsMasked;

        public void Reset()
        {
            Array.Clear(_words);
            Clear();
        }

        public byte Read(int register)
        {
            if (register >= WordCount)
            {
                return (byte)(register == 0x0F ? 0xF0 | _mask : 0); // status: no channel asks or has ended
            }

            bool high = _highByteNext;
            _highByteNext = !high;
            return (byte)(high ? _words[register] >> 8 : _words[register]);
        }

        public void Write(int register, byte value)
        {
            switch (register)
            {
                case < WordCount:
                    bool high = _highByteNext;
                    _highByteNext = !high;
                    ref ushort word = ref _words[register];
                    word = (ushort)(high ? (value << 8) | (word & 0xFF) : (word & 0xFF00) | value);
                    break;
                case 0x08:
                    _command = value;
                    break;
                case 0x0A: // one channel
                    byte bit = (byte)(1 << (value & 3));
                    _mask = (byte)((value & 4) != 0 ? _mask | bit : _mask & ~bit);
                    break;
                case 0x0C:
                    _highByteNext = false;
                    break;
                case 0x0D: // master clear
                    Clear();
                    break;
                case 0x0E:
                    _mask = 0;
                    break;
                case 0x0F:
                    _mask = (byte)(value & ChannelsMasked);
                    break;
                default: // request and mode: nothing transfers
                    break;
            }
        }

        public void Transfer(ref StateCodec state)
        {
            foreach (ref ushort word in _words.AsSpan())
            {
                state.U16(ref word);
            }

            state.Bool(ref _highByteNext);
            state.U8(ref _command);
            state.U8(ref _mask);
        }

        private void Clear()
        {
            _highByteNext = false;
            _command = 0;
            _mask = ChannelsMasked;
        }
    }
}
