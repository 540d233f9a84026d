using System;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.State;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Cpu;

public sealed unsafe class VcpuSectionTests
{
    [Fact]
    public void Every_byte_of_the_state_is_carried_or_named_as_derived()
    {
        using var ram = new GuestRam(1 << 20);
        using Vcpu source = New(ram);
        using Vcpu target = New(ram);
        byte[] codec = new byte[1 << 14];
        bool[] isDerived = DerivedBytes(source.State);
        int carried = 0;
        for (int i = 0; i < sizeof(CpuState); i++)
        {
            if (isDerived[i])
            {
                continue;
            }

            byte* bytes = (byte*)source.State;
            byte before = bytes[i];
            bytes[i] ^= 1;
            int used = CheckpointSection.Write(source, codec);
            CheckpointSection.Read(target, codec.AsSpan(0, used));

            Assert.True(((byte*)target.State)[i] == (byte)(before ^ 1), $"byte {i} of CpuState is lost");
            bytes[i] = before;
            carried++;
        }

        Assert.True(carried > 2500); // vectors, FPU image and registers, not a mistaken list
    }

    [Fact]
    public void State_beside_the_registers_is_carried()
    {
        using var ram = new GuestRam(1 << 20);
        using Vcpu source = New(ram);
        using Vcpu target = New(ram);
        source.Msrs.MtrrDefault = 0xC00;
        source.Msrs.TscAdjust = 77;
        source.Events.PendDebug(1 << 14);
        source.IsAddressLine20Open = false;
        byte[] section = new byte[1 << 14];

        int used = CheckpointSection.Write(source, section);
        CheckpointSection.Read(target, section.AsSpan(0, used));

        Assert.Equal(0xC00ul, target.Msrs.MtrrDefault);
        Assert.Equal(77ul, target.Msrs.TscAdjust);
        Assert.False(target.IsAddressLine20Open);
        byte[] again = new byte[1 << 14];
        Assert.Equal(used, CheckpointSection.Write(target, again));
        Assert.Equal(section, again);
    }

    [Fact]
    public void A_guest_with_avx512_is_refused_by_a_vcpu_without()
    {
        using var ram = new GuestRam(1 << 20);
        using Vcpu source = New(ram, CpuModel.Named("x86-64-v4"));
        using Vcpu target = New(ram, CpuModel.Named("x86-64-v3"));
        byte[] section = new byte[1 << 14];
        int used = CheckpointSection.Write(source, section);

        StateFormatException refusal = Assert.Throws<StateFormatException>(
            () => CheckpointSection.Read(target, section.AsSpan(0, used)));

        Assert.Contains($"CPU features {source.Features.Words[2]:X8}", refusal.Message);
        Assert.Contains($"this host has {target.Features.Words[2]:X8}", refusal.Message);
    }

    [Fact]
    public void Damage_is_refused()
    {
        using var ram = new GuestRam(1 << 20);
        using Vcpu source = New(ram);
        using Vcpu target = New(ram);
        byte[] section = new byte[1 << 14];
        int used = CheckpointSection.Write(source, section);
        for (int i = 0; i < used; i += 37)
        {
            section[i] ^= 0x10;
            Assert.Throws<StateFormatException>(() => CheckpointSection.Read(target, section.AsSpan(0, used)));
            section[i] ^= 0x10;
        }
    }

    private static Vcpu New(GuestRam ram, CpuModel? model = null)
        => new(0, ram, new RecordingBus(), new GuestTimers(new GuestClock(new SimClock())), VcpuConfig.Alone(model));

    // Fields that follow from others, hold nothing between instructions, or are padding.
    private static bool[] DerivedBytes(CpuState* state)
    {
        bool[] derived = new bool[sizeof(CpuState)];
        Mark(&state->Zero, sizeof(ulong));
        Mark(&state->LazyResult, sizeof(ulong));
        Mark(&state->LazyCarries, sizeof(ulong));
        Mark(&state->LazyShift, sizeof(uint));
        Mark(&state->Events, sizeof(ulong));
        Mark(&state->Tlb, sizeof(ulong));
        Mark(&state->StackMask, sizeof(ulong));
        Mark(&state->CodeMode, sizeof(uint));
        Mark(&state->LongMode, sizeof(uint));
        Mark(&state->FaultVector, sizeof(uint));
        Mark(&state->FaultErrorCode, sizeof(uint));
        Mark(&state->FaultHasErrorCode, sizeof(uint));
        Mark((byte*)&state->Cpl + 1, 3); // 0 to 3, carried as a byte
        Mark((byte*)&state->Activity + 1, 3);
        Mark(state->Alignment, 4 * sizeof(ulong));
        Mark(state->Scratch, 128);
        MarkSegment(&state->Gdtr);
        MarkSegment(&state->Idtr);
        for (int i = 0; i < SegmentRegister.Count; i++)
        {
            MarkSegment((Segment*)&state->Segments + i);
        }

        return derived;

        void Mark(void* field, int lengthBytes)
            => derived.AsSpan((int)((byte*)field - (byte*)state), lengthBytes).Fill(true);

        // A segment ends in 6 bytes that hold nothing.
        void MarkSegment(Segment* segment) => Mark((byte*)segment + 18, 6);
    }
}
