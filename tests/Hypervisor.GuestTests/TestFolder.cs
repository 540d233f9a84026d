using System;
using System.IO;

namespace Hypervisor.GuestTests;

/// <summary>A folder for a test's images; gone with the test.</summary>
internal sealed class TestFolder : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("hv-guest-test-").FullName;

    /// <summary>Path of a file in it.</summary>
    public string this[string name] => Path.Combine(_path, name);

    /// <summary>Makes an image of these bytes.</summary>
    public string Image(string name, byte[] contents)
    {
        File.WriteAllBytes(this[name], contents);
        return this[name];
    }

    /// <summary>Copies an image, so that the guest does not write to the original.</summary>
    public string Copy(string name, string path)
    {
        File.Copy(path, this[name]);
        return this[name];
    }

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(_path, recursive: true);
}
