using System;
using System.IO;
using System.Net.Sockets;
using Hypervisor.CommandLine;
using Hypervisor.Control;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed class ControlSocketTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hv").FullName;

    private string SocketPath => Path.Combine(_folder, "guest.sock");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Socket_is_for_its_user_alone_and_gone_at_the_end()
    {
        using (Open())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, new FileInfo(SocketPath).UnixFileMode);
            Assert.Equal([SocketPath], Directory.GetFiles(_folder));
        }

        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void Socket_that_nobody_answers_at_is_replaced()
    {
        LeaveStaleSocket();
        Assert.True(Path.Exists(SocketPath));

        using GuestWatch watch = Open();
        using var client = new ControlClient(SocketPath);

        Assert.Equal("a", client.AskStatus().Guest);
    }

    [Fact]
    public void Socket_that_somebody_answers_at_is_refused_by_name_and_lives_on()
    {
        using GuestWatch first = Open();

        FailureException error = Assert.Throws<FailureException>(Open);
        using var client = new ControlClient(SocketPath);

        Assert.StartsWith($"--control {SocketPath}: another guest answers", error.Message, StringComparison.Ordinal);
        Assert.Equal("a", client.AskStatus().Guest);
        Assert.Equal([SocketPath], Directory.GetFiles(_folder));
    }

    [Fact]
    public void Socket_of_another_that_has_the_path_now_is_not_removed()
    {
        GuestWatch first = Open();
        File.Delete(SocketPath);
        using GuestWatch second = Open();

        first.Dispose();
        using var client = new ControlClient(SocketPath);

        Assert.Equal("a", client.AskStatus().Guest);
    }

    [Fact]
    public void File_that_is_no_socket_is_never_replaced()
    {
        File.WriteAllText(SocketPath, "precious");

        FailureException error = Assert.Throws<FailureException>(Open);

        Assert.Contains("is no socket of ours", error.Message, StringComparison.Ordinal);
        Assert.Equal("precious", File.ReadAllText(SocketPath));
        Assert.Equal([SocketPath], Directory.GetFiles(_folder));
    }

    [Fact]
    public void Connecting_to_what_was_left_behind_says_that_nobody_is_there()
    {
        LeaveStaleSocket();

        FailureException error = Assert.Throws<FailureException>(() => new ControlClient(SocketPath));

        Assert.Contains($"--control {SocketPath}: nobody listens there", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(ControlSocket.PathBytesMax + 1)]
    public void Path_that_is_too_long_for_a_socket_is_refused(int lengthBytes)
        => Assert.Contains(
            $"a path of {lengthBytes} bytes",
            Assert.Throws<UsageException>(() => ControlSocket.CheckPath(new string('a', lengthBytes))).Message,
            StringComparison.Ordinal);

    [Fact]
    public void Longest_path_is_taken()
    {
        string path = Path.Combine(_folder, "a").PadRight(ControlSocket.PathBytesMax, 'a');

        using var watch = new GuestWatch(
            "a", GuestRole.Alone, new EventFeed(), ControlSocket.CheckPath(path), metrics: null);
        using var client = new ControlClient(path);

        Assert.Equal("starting", client.AskStatus().State);
    }

    // As a process that was killed leaves it: the file outlives its listener.
    private void LeaveStaleSocket()
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(SocketPath + ".bound"));
        socket.Listen();
        File.Move(SocketPath + ".bound", SocketPath);
    }

    private GuestWatch Open() => new("a", GuestRole.Alone, new EventFeed(), SocketPath, metrics: null);
}
