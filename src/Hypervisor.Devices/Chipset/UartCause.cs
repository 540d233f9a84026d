namespace Hypervisor.Devices.Chipset;

/// <summary>What a 16550A interrupts for: the low bits of IIR, highest priority first.</summary>
/// <remarks>Spec: TI PC16550D data sheet, table 4.</remarks>
internal enum UartCause : byte
{
    LineStatus = 0x06,
    DataAvailable = 0x04,
    CharacterTimeout = 0x0C,
    TransmitterEmpty = 0x02,
    ModemStatus = 0x00,
    None = 0x01,
}
