using Iced.Intel;

namespace Hypervisor.TestKit.Oracle;

/// <content>EVEX: 32 registers, mask, zeroing, broadcast or rounding, all as the encoding allows.</content>
internal sealed partial class EncodingBuilder
{
    private bool _isRegister; // the ModRM byte to come

    private void Evex(OpCodeInfo info)
    {
        _isRegister = random.Next(2) == 0;
        int source = UsesSource(info) ? random.Next(32) : 31;
        int wide = info.IsWIG ? random.Next(2) : (int)info.W;
        int length = info.IsLIG ? random.Next(3) : (int)info.L;
        bool canSuppress = info.CanUseRoundingControl || info.CanSuppressAllExceptions;
        bool special = random.Next(3) == 0 && (_isRegister ? canSuppress : info.CanBroadcast);
        if (special && _isRegister)
        {
            length = random.Next(4); // the rounding mode; without one it is ignored
        }

        bool mustMask = info.RequireOpMaskRegister;
        bool canMask = mustMask || (info.CanUseOpMaskRegister && random.Next(3) != 0);
        int mask = canMask ? random.Next(mustMask ? 1 : 0, 8) : 0;
        bool zeroes = info.CanUseZeroingMasking && mask != 0 && random.Next(2) == 0;
        Add(0x62);
        Add((byte)((random.Next(16) << 4) | Map(info)));
        Add((byte)((wide << 7) | ((source & 15) << 3) | 4 | Prefix(info)));
        Add((byte)((zeroes ? 0x80 : 0) | (length << 5) | (special ? 0x10 : 0) | (source >> 4 << 3) | mask));
        Opcode(info);
    }
}
