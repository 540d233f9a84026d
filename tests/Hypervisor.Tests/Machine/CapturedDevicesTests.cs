using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using Hypervisor.Backends.Block;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Devices.Virtio;
using Hypervisor.Machine;
using Hypervisor.TestKit;
using Xunit;
using Pc = Hypervisor.Machine.Machine;

namespace Hypervisor.Tests.Machine;

/// <summary>Nothing of a machine that has state is left out of its epochs.</summary>
public sealed class CapturedDevicesTests
{
    [Fact]
    public void Rule_42_everything_that_has_sections_is_captured()
    {
        using var console = new ToyConsole();
        using var second = new ToyConsole();
        using var disk = new SimDisk(1 << 20);
        var config = new MachineConfig
        {
            MemoryBytes = RunningGuest.RamBytes,
            CpuCount = 2,
            Serials = [new SerialConfig(SerialKind.Null), new SerialConfig(SerialKind.Null) { IsVirtio = true }],
            Drives = [new DriveOptions("sim") { Id = "sim" }],
            Balloon = new VirtioBalloonOptions(),
        };
        using var machine = new Pc(config, [disk], [console, second], [], new HostClock(), static _ => { });

        HashSet<ICheckpointed> reached = [.. Reachable(machine).OfType<ICheckpointed>()];

        Assert.True(reached.Count > 20, $"only {reached.Count} were found");
        Assert.Equal(
            reached.Select(component => $"{component.Section}").Order(),
            machine.Components.Select(component => $"{component.Section}").Order());
    }

    // Through the fields of our own types, and of the collections and delegates that hold such.
    private static IEnumerable<object> Reachable(object root)
    {
        HashSet<object> seen = new(ReferenceEqualityComparer.Instance);
        Queue<object> left = new([root]);
        while (left.TryDequeue(out object? item))
        {
            if (IsForeign(item.GetType()) || !seen.Add(item))
            {
                continue;
            }

            yield return item;
            foreach (object? value in item is Array many ? many.Cast<object?>() : FieldsOf(item))
            {
                if (value is not null)
                {
                    left.Enqueue(value);
                }
            }
        }
    }

    private static IEnumerable<object?> FieldsOf(object item)
    {
        const BindingFlags Own = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic
            | BindingFlags.DeclaredOnly;
        for (Type? type = item.GetType(); type is not null; type = type.BaseType)
        {
            foreach (FieldInfo field in type.GetFields(Own))
            {
                if (!field.FieldType.IsPointer && !field.FieldType.IsFunctionPointer)
                {
                    yield return field.GetValue(item);
                }
            }
        }
    }

    private static bool IsForeign(Type type) => type.IsPrimitive || type.IsEnum
        || !(type.ToString().Contains("Hypervisor.", StringComparison.Ordinal)
            || type.IsSubclassOf(typeof(Delegate)) || type == typeof(object[]));
}
