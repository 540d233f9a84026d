using System;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO;
using System.IO.MemoryMappedFiles;

namespace Hypervisor.TestKit.Oracle;

/// <summary>The bare host CPU: runs cases in a child process that shares a file with us.</summary>
internal sealed unsafe class NativeCpu : IDisposable
{
    private readonly string _programPath;
    private readonly string _sharedPath;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Process _process;
    private readonly byte* _shared;

    internal NativeCpu()
        : this(NativeProgram.Build(), OracleLayout.FileBytes)
    {
    }

    internal NativeCpu(byte[] program, int fileBytes)
    {
        string unique = Path.Combine(Path.GetTempPath(), $"oracle-{Environment.ProcessId}-{Guid.NewGuid():N}");
        _programPath = unique + ".elf";
        _sharedPath = unique + ".mem";
        File.WriteAllBytes(_programPath, program);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(_programPath, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        File.WriteAllBytes(_sharedPath, new byte[fileBytes]);
        _file = MemoryMappedFile.CreateFromFile(_sharedPath, FileMode.Open);
        _view = _file.CreateViewAccessor();
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _shared);
        _process = Process.Start(new ProcessStartInfo(_programPath, [_sharedPath])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
    }

    /// <summary>The file that the program shares with us.</summary>
    internal byte* Shared => _shared;

    /// <summary>Record <paramref name="index"/> of the batch.</summary>
    internal byte* Case(int index) => _shared + OracleLayout.CasesAt + (index * OracleLayout.CaseBytes);

    /// <summary>Code slot <paramref name="index"/> of the batch.</summary>
    internal Span<byte> Slot(int index)
        => new(_shared + OracleLayout.CodeAt + (index * OracleLayout.SlotBytes), OracleLayout.SlotBytes);

    /// <summary>The four pages behind the sandbox.</summary>
    internal Span<byte> Sandbox
        => new(_shared + OracleLayout.SandboxAt, OracleLayout.StoredPages * OracleLayout.PageBytes);

    /// <summary>Runs <paramref name="count"/> cases from <paramref name="first"/>.</summary>
    internal void Run(int first, int count)
    {
        Span<byte> request = stackalloc byte[8];
        BinaryPrimitives.WriteInt32LittleEndian(request, first);
        BinaryPrimitives.WriteInt32LittleEndian(request[4..], count);
        Stream input = _process.StandardInput.BaseStream;
        input.Write(request);
        input.Flush();
        if (_process.StandardOutput.BaseStream.ReadByte() < 0)
        {
            _process.WaitForExit();
            throw new InvalidOperationException($"the native program ended with {_process.ExitCode}");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
        File.Delete(_programPath);
        File.Delete(_sharedPath);
    }
}
