using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Peers;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.TestKit;

/// <summary>A vCPU, 4 MiB of RAM, tables, and a snippet that runs until it halts.</summary>
/// <remarks>
/// Every vector has an interrupt gate to a handler of its own that halts, so <see cref="LastVector"/> says how a run
/// ended
/// and the stack has the frame. Selectors are the constants below; a test may overwrite any table before it runs.
/// </remarks>
public sealed class AsmProgram : IDisposable
{
    /// <summary>Where the tables and snippets lie.</summary>
    public const ulong Gdt = 0x1000, Idt = 0x2000, Tss = 0x3000, Handlers = 0x9000, Code = 0x8000, UserCode = 0xB000,
        Data = 0xC000, StackTop = 0x7000, InnerStackTop = 0x6000, UserStackTop = 0x5000, PageTable = 0x13000;

    /// <summary>Selectors of the GDT; 48H to 78H (code and data of 16 bits) and FreeSelector are for tests.</summary>
    public const ushort Code64 = 0x08, Data0 = 0x10, Code32 = 0x18, UserCode32 = 0x23, UserData = 0x2B,
        UserCode64 = 0x33,
        TaskState = 0x38, Code16 = 0x48, Data16 = 0x50, FreeSelector = 0x58;

    private const ulong PageTables = 0x10000;
    private const int HandlerBytes = 16;
    private readonly GuestTimers _timers;
    private readonly VcpuConfig _config;
    private readonly List<Vcpu> _peers = [];

    /// <summary>Builds the machine and assembles <paramref name="write"/> at <see cref="Code"/>.</summary>
    public AsmProgram(
        CpuMode mode,
        Action<Assembler> write,
        CpuModel? model = null,
        ExecutionEngine engine = ExecutionEngine.Interpreter,
        long codeCacheBytes = 32L << 20,
        Action<CodeArea>? onCode = null,
        bool countsInstructions = false)
    {
        Mode = mode;
        Ram = new GuestRam(4 << 20);
        var clock = new GuestClock(Clock);
        _timers = new GuestTimers(clock);
        clock.Start();
        _config = new VcpuConfig
        {
            ApicBus = Bus,
            BusLock = new Lock(),
            Model = model ?? CpuModel.Default,
            Engine = engine,
            TranslatedCodeBytes = codeCacheBytes,
            OnCode = onCode,
            CountsInstructions = countsInstructions,
            Peers = new VcpuPeers(Ram),
            Entropy = static target => target.Fill(0x5A),
            OnWake = () => WakeCount++,
        };
        Vcpu = new Vcpu(0, Ram, Bus, _timers, _config);
        WriteTables();
        Assemble(Code, write);
        Vcpu.Load(StartState());
    }

    /// <summary>Host time of the machine.</summary>
    public SimClock Clock { get; } = new();

    /// <summary>What the program did outside RAM.</summary>
    public RecordingBus Bus { get; } = new();

    /// <summary>Guest RAM.</summary>
    public GuestRam Ram { get; }

    /// <summary>The vCPU.</summary>
    public Vcpu Vcpu { get; }

    /// <summary>The mode it starts in.</summary>
    public CpuMode Mode { get; }

    /// <summary>How often a halted vCPU was woken.</summary>
    public int WakeCount { get; private set; }

    /// <summary>The vector whose handler halted; -1: something else halted.</summary>
    public unsafe int LastVector
    {
        get
        {
            ulong rip = Vcpu.State->Rip - 1;
            bool inside = rip >= Handlers && rip < Handlers + (256 * HandlerBytes) && rip % HandlerBytes == 0;
            return inside ? (int)((rip - Handlers) / HandlerBytes) : -1;
        }
    }

    /// <summary>Assembles more code.</summary>
    public void Assemble(ulong address, Action<Assembler> write, int bits = 0)
    {
        var assembler = new Assembler(bits != 0 ? bits : Mode == CpuMode.Long ? 64 : Mode == CpuMode.Real ? 16 : 32);
        write(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        Check.That(Ram.TryWrite(address, stream.ToArray()));
    }

    /// <summary>Another vCPU on the same RAM, as after power-on: it waits for SIPI.</summary>
    public Vcpu AddPeer()
    {
        var peer = new Vcpu(_peers.Count + 1, Ram, Bus, _timers, _config);
        _peers.Add(peer);
        return peer;
    }

    /// <summary>Another vCPU on the same RAM that runs <paramref name="write"/>, in the mode of the first.</summary>
    public Vcpu AddPeer(ulong rip, ulong stackTop, Action<Assembler> write)
    {
        Assemble(rip, write);
        Vcpu peer = AddPeer();
        InitialState state = StartState();
        state.Rip = rip;
        state.Rsp = stackTop;
        peer.Load(state);
        return peer;
    }

    /// <summary>Runs until HLT (Halted) or a triple fault.</summary>
    public VcpuExit Run() => Vcpu.Run();

    /// <summary>Moves time and expires what is due.</summary>
    public void Advance(long nanos)
    {
        Clock.Advance(nanos);
        _timers.RunDue();
    }

    /// <summary>Stores little-endian values of 8 bytes.</summary>
    public void Write64(ulong gpa, params ReadOnlySpan<ulong> values)
    {
        Span<byte> bytes = stackalloc byte[8];
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, values[i]);
            Check.That(Ram.TryWrite(gpa + (ulong)(i * 8), bytes));
        }
    }

    /// <summary>Stores 4 bytes.</summary>
    public void Write32(ulong gpa, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Check.That(Ram.TryWrite(gpa, bytes));
    }

    /// <summary>Reads <paramref name="sizeBytes"/> (up to 8) bytes.</summary>
    public ulong Read(ulong gpa, int sizeBytes)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        Check.That(Ram.TryRead(gpa, bytes[..sizeBytes]));
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    /// <summary>Replaces an IDT gate: type as in SDM volume 3, table 3-2.</summary>
    public void SetGate(
        int vector, ushort selector, ulong offset, int type, int dpl = 0, int ist = 0, bool present = true)
    {
        ulong low = (offset & 0xFFFF) | ((ulong)selector << 16) | ((ulong)ist << 32) | ((ulong)type << 40)
            | ((ulong)dpl << 45) | (present ? 1ul << 47 : 0) | ((offset & 0xFFFF_0000) << 32);
        if (Mode == CpuMode.Long)
        {
            Write64(Idt + (ulong)(vector * 16), low, offset >> 32);
        }
        else
        {
            Write64(Idt + (ulong)(vector * 8), low);
        }
    }

    /// <summary>Address of a vector's default handler.</summary>
    public static ulong Handler(int vector) => Handlers + (ulong)(vector * HandlerBytes);

    /// <summary>Replaces a descriptor of the GDT.</summary>
    public void SetDescriptor(ushort selector, ulong descriptor) => Write64(Gdt + (selector & 0xFFF8u), descriptor);

    /// <summary>A segment or TSS descriptor: access byte, flags G D L A in the low nibble.</summary>
    public static ulong Descriptor(uint start, uint limit, byte access, byte flags)
        => (limit & 0xFFFF) | ((ulong)(start & 0xFF_FFFF) << 16) | ((ulong)access << 40)
            | ((ulong)((limit >> 16) & 0xF) << 48) | ((ulong)flags << 52) | ((ulong)(start >> 24) << 56);

    /// <inheritdoc/>
    public void Dispose()
    {
        Vcpu.Dispose();
        _peers.ForEach(static peer => peer.Dispose());
        Ram.Dispose();
    }

    private void WriteTables()
    {
        SetDescriptor(Code64, Descriptor(0, 0xFFFFF, 0x9B, 0xA));
        SetDescriptor(Data0, Descriptor(0, 0xFFFFF, 0x93, 0xC));
        SetDescriptor(Code32, Descriptor(0, 0xFFFFF, 0x9B, 0xC));
        SetDescriptor(UserCode32, Descriptor(0, 0xFFFFF, 0xFB, 0xC));
        SetDescriptor(UserData, Descriptor(0, 0xFFFFF, 0xF3, 0xC));
        SetDescriptor(UserCode64, Descriptor(0, 0xFFFFF, 0xFB, 0xA));
        SetDescriptor(TaskState, Descriptor((uint)Tss, 0x2067, 0x8B, 0));
        SetDescriptor(Code16, Descriptor(0, 0xFFFF, 0x9B, 0));
        SetDescriptor(Data16, Descriptor(0, 0xFFFF, 0x93, 0));
        for (int vector = 0; vector < 256; vector++)
        {
            Assemble(Handler(vector), static assembler => assembler.hlt());
            if (Mode == CpuMode.Real)
            {
                Write32((ulong)(vector * 4), (uint)Handler(vector));
            }
            else
            {
                SetGate(vector, Mode == CpuMode.Long ? Code64 : Code32, Handler(vector), type: 14);
            }
        }

        Write64(PageTables, (PageTables + 0x1000) | 7);
        Write64(PageTables + 0x1000, (PageTables + 0x2000) | 7);
        Write64(PageTables + 0x2000, PageTable | 7, 0x20_0000 | 0x87);
        for (ulong page = 0; page < 512; page++)
        {
            Write64(PageTable + (page * 8), (page << 12) | 7);
        }

        WriteTaskState();
    }

    private void WriteTaskState()
    {
        if (Mode == CpuMode.Long)
        {
            Write64(Tss + 4, InnerStackTop);
        }
        else
        {
            Write32(Tss + 4, (uint)InnerStackTop);
            Write32(Tss + 8, Data0);
        }

        Write32(Tss + 0x64, 0x68u << 16); // I/O bitmap behind the TSS, all zero: every port is open
    }

    private InitialState StartState()
    {
        bool isLong = Mode == CpuMode.Long;
        bool isReal = Mode == CpuMode.Real;
        Segment data = isReal
            ? new Segment { Limit = 0xFFFF, Attributes = 0x93 }
            : new Segment { Selector = Data0, Limit = uint.MaxValue, Attributes = 0xC093 };
        Segment code = isReal
            ? new Segment { Limit = 0xFFFF, Attributes = 0x9B }
            : new Segment
            {
                Selector = isLong ? Code64 : Code32,
                Limit = uint.MaxValue,
                Attributes = isLong ? 0xA09Bu : 0xC09B,
            };
        return new InitialState
        {
            Rip = Code,
            Rsp = StackTop,
            Cr0 = isReal ? 0x10ul : isLong ? 0x8001_0011ul : 0x11,
            Cr3 = isLong ? PageTables : 0,
            Cr4 = isLong ? 0x20ul : 0,
            Efer = isLong ? 0xD01ul : 0,
            GdtBase = Gdt,
            GdtLimit = 0xFFF,
            IdtBase = isReal ? 0 : Idt,
            IdtLimit = isReal ? (ushort)0x3FF : (ushort)0xFFF,
            Cs = code,
            Ss = data,
            Ds = data,
            Es = data,
            Fs = data,
            Gs = data,
            Ldtr = new Segment { Attributes = 0x1_0000 },
            Tr = new Segment { Selector = TaskState, Base = Tss, Limit = 0x2067, Attributes = 0x8B },
        };
    }
}
