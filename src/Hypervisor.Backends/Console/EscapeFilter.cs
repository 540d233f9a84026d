using System;

namespace Hypervisor.Backends.Console;

/// <summary>Finds QEMU's Ctrl-A sequences in what the user types, and passes the rest.</summary>
/// <remarks>Ctrl-A Ctrl-A sends one Ctrl-A to the guest; an unknown key after Ctrl-A is swallowed.</remarks>
public sealed class EscapeFilter(Action<EscapeCommand> onCommand)
{
    private const byte ControlA = 0x01;

    private bool _isEscaped;

    /// <summary>Filters typed bytes in place.</summary>
    /// <returns>How many bytes at the start of <paramref name="typed"/> are for the guest.</returns>
    public int Filter(Span<byte> typed)
    {
        int count = 0;
        foreach (byte key in typed)
        {
            if (_isEscaped)
            {
                _isEscaped = false;
                if (key == ControlA)
                {
                    typed[count++] = key;
                }
                else
                {
                    Obey(key);
                }
            }
            else if (key == ControlA)
            {
                _isEscaped = true;
            }
            else
            {
                typed[count++] = key;
            }
        }

        return count;
    }

    private void Obey(byte key)
    {
        switch (key)
        {
            case (byte)'x':
                onCommand(EscapeCommand.Quit);
                break;
            case (byte)'c':
                onCommand(EscapeCommand.Status);
                break;
            case (byte)'h' or (byte)'?':
                onCommand(EscapeCommand.Help);
                break;
        }
    }
}
