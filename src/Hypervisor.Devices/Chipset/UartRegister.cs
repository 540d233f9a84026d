namespace Hypervisor.Devices.Chipset;

/// <summary>The eight ports of a 16550A by offset; with the divisor latch open the first two are its bytes.</summary>
internal enum UartRegister
{
    Data = 0,
    InterruptEnable = 1,
    InterruptOrFifo = 2, // reads identify the interrupt, writes control the FIFOs
    LineControl = 3,
    ModemControl = 4,
    LineStatus = 5,
    ModemStatus = 6,
    Scratch = 7,
}
