using System;
using System.Security.Cryptography;
using System.Threading;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Peers;

namespace Hypervisor.Cpu;

/// <summary>What a vCPU is told about itself and its surroundings, besides memory and time.</summary>
public sealed class VcpuConfig
{
    /// <summary>The rest of the interrupt system.</summary>
    public required IApicBus ApicBus { get; init; }

    /// <summary>The machine's bus lock: the vCPU holds it whenever it touches its local APIC.</summary>
    public required Lock BusLock { get; init; }

    /// <summary>What CPUID reports.</summary>
    public required CpuModel Model { get; init; }

    /// <summary>
    /// Whether other vCPUs store to the same RAM: their plain stores are not announced, so MWAIT does not wait.
    /// </summary>
    public bool HasPeers { get; init; }

    /// <summary>The vCPUs that share its RAM; null: it is the only one.</summary>
    public VcpuPeers? Peers { get; init; }

    /// <summary>Fills a buffer with random bytes, for RDRAND and RDSEED.</summary>
    public required FillRandom Entropy { get; init; }

    /// <summary>What runs the guest's code.</summary>
    public ExecutionEngine Engine { get; init; }

    /// <summary>
    /// How often code is interpreted before it is translated: translating an instruction costs about as much as
    /// interpreting it that often.
    /// </summary>
    public int HitsBeforeTranslation { get; init; } = 16;

    /// <summary>
    /// Whether translated code counts the instructions that it finishes, to the last one: costs some percent.
    /// </summary>
    public bool CountsInstructions { get; init; }

    /// <summary>
    /// Called with each block that is translated, guest and host code side by side; null: no listings are made.
    /// </summary>
    public Action<string>? OnTranslated { get; init; }

    /// <summary>Called with each piece of code that is generated, for profilers; null: nobody wants to know.</summary>
    public Action<CodeArea>? OnCode { get; init; }

    /// <summary>
    /// Whether checks leave through LOOP: good where that is fast, right everywhere. By default as suits the host.
    /// </summary>
    public bool UsesLoop { get; init; } = Translation.Emitter.HasFastLoop;

    /// <summary>Bytes of memory for translated code.</summary>
    public long TranslatedCodeBytes { get; init; } = 128L << 20;

    /// <summary>
    /// Called with no promise about locks when a halted vCPU has something to look at: its thread must call Run again.
    /// </summary>
    public Action? OnWake { get; init; }

    /// <summary>A vCPU without a board: no other CPUs, no I/O APIC. For tests of instructions.</summary>
    internal static VcpuConfig Alone(
        CpuModel? model = null,
        ExecutionEngine engine = ExecutionEngine.Interpreter,
        int hitsBeforeTranslation = 16,
        bool? usesLoop = null,
        long translatedCodeBytes = 128L << 20)
        => new()
        {
            ApicBus = new LonelyApicBus(),
            BusLock = new Lock(),
            Model = model ?? CpuModel.Default,
            Entropy = RandomNumberGenerator.Fill,
            Engine = engine,
            HitsBeforeTranslation = hitsBeforeTranslation,
            CountsInstructions = true,
            UsesLoop = usesLoop ?? Translation.Emitter.HasFastLoop,
            TranslatedCodeBytes = translatedCodeBytes,
        };

    private sealed class LonelyApicBus : IApicBus
    {
        public void SendIpi(int sourceApicId, ulong interruptCommand)
        {
        }

        public void BroadcastEndOfInterrupt(byte vector)
        {
        }

        public void OnInterruptTaken(byte vector)
        {
        }

        public byte AcknowledgeExternalInterrupt() => 0;
    }
}
