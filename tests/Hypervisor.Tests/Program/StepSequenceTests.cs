using System;
using System.Text;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class StepSequenceTests
{
    [Theory]
    [InlineData("counting guest\ndisks 2\nstep 1\nstep 2\nstep 3\n", 1, 3)]
    [InlineData("step 41\r\nstep 42\r\n", 41, 42)]
    [InlineData("step 1\nstep 2", 1, 1)] // the second line is not complete
    [InlineData("no steps\n", -1, -1)]
    public void Steps_in_order_are_sound(string output, long first, long last)
    {
        StepSequence steps = Follow(output);

        Assert.Null(steps.Fault);
        Assert.Equal(first, steps.FirstStep);
        Assert.Equal(last, steps.LastStep);
    }

    [Theory]
    [InlineData("step 1\nstep 3\n", "step 1 was followed by step 3")]
    [InlineData("step 2\nstep 2\n", "step 2 was followed by step 2")]
    [InlineData("step 5\nstep 4\nstep 5\n", "step 5 was followed by step 4")]
    [InlineData("step 1\nstep 2step 3\n", "is no number")]
    public void Hole_repeat_and_garbage_are_found(string output, string fault)
        => Assert.Contains(fault, Follow(output).Fault!, StringComparison.Ordinal);

    private static StepSequence Follow(string output)
    {
        var steps = new StepSequence();
        foreach (byte value in Encoding.ASCII.GetBytes(output))
        {
            steps.OnOutput([value]);
        }

        return steps;
    }
}
