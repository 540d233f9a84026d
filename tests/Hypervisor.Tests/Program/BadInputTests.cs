using System;
using System.IO;
using Xunit;

namespace Hypervisor.Tests.Program;

/// <summary>Every wrong word gets one line that names it and says what is allowed, and the right exit code.</summary>
public sealed class BadInputTests
{
    private const int Usage = 2;
    private const int Failure = 1;
    private const string Fifty = "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh";
    private const string LongHost = Fifty + Fifty + Fifty + Fifty + Fifty + "hhhh";
    private const string ByWitness = "run --drive file=a --standby localhost:7 --witness ";
    private const string Tls = " --tls-cert /nonexistent/c --tls-key /nonexistent/k --tls-ca /nonexistent/a";
    private const string Pair = ByWitness + "file:w";

    [Theory]
    [InlineData("", "no command given", "run, standby, pair")]
    [InlineData("fly", "'fly' is not a command", "run, standby, pair")]
    [InlineData("run", "nothing to boot", "--kernel PATH, --guest NAME or --drive")]
    [InlineData("run --bogus 1", "--bogus", "hv run --help")]
    [InlineData("run --memory", "--memory", "hv run --help")]
    [InlineData("run --memory 1G --memory 2G", "--memory", "hv run --help")]
    [InlineData("run --memory 12Q", "'12Q' is not a size", "512M")]
    [InlineData("run --memory -5M", "'-5M' is not a size", "512M")]
    [InlineData("run --memory M", "'M' is not a size", "512M")]
    [InlineData("run --memory 0", "0 cannot be the guest's RAM", "from 1M to")]
    [InlineData("run --memory 640K", "640K cannot be the guest's RAM", "from 1M to")]
    [InlineData("run --memory 1500K", "1500K cannot be the guest's RAM", "whole megabytes")]
    [InlineData("run --memory 8192T", "8192T cannot be the guest's RAM", "this host's")]
    [InlineData("run --memory 9999999E", "'9999999E' is too large", "bytes")]
    [InlineData("run --cpus 0", "--cpus: '0' does not fit", "1 to 254")]
    [InlineData("run --cpus 255", "--cpus: '255' does not fit", "1 to 254")]
    [InlineData("run --cpus two", "--cpus: 'two' does not fit", "1 to 254")]
    [InlineData("run --cpu pentium", "--cpu: 'pentium' is not known", "x86-64-v1, x86-64-v2, x86-64-v3, x86-64-v4")]
    [InlineData("run --engine warp", "--engine: 'warp' is not known", "interpreter")]
    [InlineData("run --guest nobody", "--guest: 'nobody' is not known", "allowed:")]
    [InlineData("run --initrd x", "no kernel to give it to", "with --kernel")]
    [InlineData("run --append x", "no kernel to give it to", "with --kernel")]
    [InlineData("run --net bridge", "'bridge' is not known", "tap,ifname=NAME")]
    [InlineData("run --net tap", "ifname= is no interface", "1 to 15 bytes")]
    [InlineData("run --net tap,ifname=sixteen_letters_", "ifname=sixteen_letters_ is no interface", "1 to 15 bytes")]
    [InlineData("run --net tap,ifname=a/b", "is no interface", "1 to 15 bytes")]
    [InlineData("run --net tap,ifname=a,queues=17", "queues=17 does not fit", "1 to 16")]
    [InlineData("run --net tap,ifname=a,mac=01:00:00:00:00:00", "is no address of a NIC", "52:54:00:12:34:56")]
    [InlineData("run --net tap,ifname=a,mac=52:54:00:12:34", "is no address of a NIC", "52:54:00:12:34:56")]
    [InlineData("run --net tap,ifname=a,mtu=67", "mtu=67 does not fit", "68 to 65535")]
    [InlineData("run --net tap,ifname=a,fast=on", "'fast=on' is not understood", "ifname=, queues=, mac=, mtu=")]
    [InlineData("run --net user,queues=2", "'queues=2' is not understood", "hostfwd=, mac=, mtu=")]
    [InlineData("run --net user,hostfwd=tcp:22", "hostfwd=tcp:22 is not understood", "tcp:127.0.0.1:2222-:22")]
    [InlineData("run --net user,hostfwd=sctp::1-:1", "is not understood", "tcp|udp")]
    [InlineData("run --net user,hostfwd=tcp::0-:1", "is not understood", "tcp|udp")]
    [InlineData("run --net user,hostfwd=tcp:host:1-:1", "is not understood", "tcp|udp")]
    [InlineData("run --net socket", "must be said once", "listen=, connect= or fd=")]
    [InlineData("run --net socket,listen=h:1,fd=3", "must be said once", "listen=, connect= or fd=")]
    [InlineData("run --net socket,fd=1", "fd=1 does not fit", "from 3")]
    [InlineData("run --net socket,connect=h", "'h' is not an address", "HOST:PORT")]
    [InlineData("run --net socket,connect=" + LongHost + ":1", "of 254 characters is too long", "allowed: 253")]
    [InlineData("run --net user --net none", "there are other NICs", "alone")]
    [InlineData("run --net user,mac=02:00:00:00:00:01 --net user,mac=02:00:00:00:00:01", "is taken", "another mac=")]
    [InlineData("run --net user --net user --net user --net user --net user", "5 NICs are too many", "allowed: 4")]
    [InlineData("run --drive disk.img", "'disk.img' is not understood", "file=, format=")]
    [InlineData("run --drive format=raw", "no image named", "file=PATH")]
    [InlineData("run --drive file=", "no image named", "file=PATH")]
    [InlineData("run --drive file=a,file=b", "file= is given twice", "once")]
    [InlineData("run --drive file=a,cache=lazy", "cache=lazy is not known", "none, directsync, writethrough")]
    [InlineData("run --drive file=a,format=vhd", "format=vhd is not known", "raw")]
    [InlineData("run --drive file=a,readonly=maybe", "readonly=maybe", "on, off")]
    [InlineData("run --drive file=a,id=abcdefghijklmnopqrstu", "is no drive name", "20 bytes")]
    [InlineData("run --drive file=a,id=x --drive file=b,id=x", "id 'x' is taken", "another id=")]
    [InlineData("run --drive file=a,shared=on,cache=unsafe", "written to later", "cache=none or cache=writeback")]
    [InlineData("run --drive file=a,shared=on,cache=writethrough", "written to later", "cache=none or cache=writeback")]
    [InlineData("run --drive file=a,shared=on,readonly=on", "written to later", "without readonly=on")]
    [InlineData("run --drive file=a,shared=on --snapshot", "a drive is shared", "without shared=on")]
    [InlineData("run --drive file=a --serial ttyS9", "--serial ttyS9: not understood", "stdio, null, file:PATH")]
    [InlineData("run --drive file=a --serial tcp:host", "'host' is not an address", "HOST:PORT")]
    [InlineData("run --drive file=a --serial tcp:host:0", "is not an address", "from 1 to 65535")]
    [InlineData("run --drive file=a --serial tcp:h:1,frobnicate", "'frobnicate' is not understood", "server")]
    [InlineData("run --drive file=a --serial stdio --serial stdio", "standard input is taken", "once")]
    [InlineData("run --drive file=a --debug-exit 70000", "'70000' does not fit", "1 to 65535")]
    [InlineData("run --drive file=a --rtc base=noon", "'noon' is not a time", "utc, localtime")]
    [InlineData("run --drive file=a --uuid 12", "'12' is not a UUID", "hexadecimal")]
    [InlineData("run --drive file=a --epoch 5ms", "--standby: missing", "HOST:PORT")]
    [InlineData("run --drive file=a --standby localhost:7", "--witness", "file:PATH")]
    [InlineData("run --drive file=a --standby h --witness file:w", "'h' is not an address", "HOST:PORT")]
    [InlineData("run --drive file=a --standby ::1:7 --witness file:w", "'::1:7' is not an address", "HOST:PORT")]
    [InlineData(ByWitness + "w", "'w' is not understood", "file:PATH, etcd:http")]
    [InlineData(ByWitness + "etcd:w", "'w' is not understood", "key=, user=")]
    [InlineData(ByWitness + "etcd:key=w", "etcd has no address", "etcd:http://HOST")]
    [InlineData(ByWitness + "etcd:http://h:1/v3", "'http://h:1/v3' is no", "HOST:2379")]
    [InlineData(ByWitness + "etcd:http://u:p@h:1", "'http://u:p@h:1' is no", "HOST")]
    [InlineData(ByWitness + "etcd:http://h:1?x", "'http://h:1?x' is no", "HOST:2379")]
    [InlineData(ByWitness + "etcd:http://h:1,user=u", "user= and password", "both")]
    [InlineData(ByWitness + "etcd:http://h:1,cert=u", "cert= and cert-key=", "both")]
    [InlineData(Pair + " --epoch 0ms", "'0ms' is out of range", "1ms to 10s")]
    [InlineData(Pair + " --epoch 50", "'50' is not a duration", "50ms")]
    [InlineData(Pair + " --epoch automatic", "'automatic' is not a duration", "50ms")]
    [InlineData(Pair + " --max-pause 5ms", "--max-pause: the time is fixed", "--epoch auto")]
    [InlineData(Pair + " --epoch 5ms --max-staging 1M", "--max-staging: the time is fixed", "--epoch auto")]
    [InlineData(Pair + " --epoch auto --max-pause 1us", "'1us' is out of range", "100us to 1s")]
    [InlineData(Pair + " --epoch auto --max-staging 1k", "'1k' is too little", "64K and more")]
    [InlineData(Pair + " --ack never", "'never' is not known", "durable, memory")]
    [InlineData(Pair + " --on-standby-loss panic", "'panic'", "wait, stop, alone")]
    [InlineData(Pair + " --lease 1s", "--lease: 1s is not shorter", "shorter")]
    [InlineData(Pair + " --drive file=b,cache=unsafe", "cache=unsafe ignores", "writeback")]
    [InlineData("run --drive file=a --snapshot --standby localhost:7 --witness file:w", "--snapshot", "without it")]
    [InlineData("standby --witness file:w", "--listen: missing", "HOST:PORT")]
    [InlineData("standby --listen localhost:7", "--witness", "file:PATH")]
    [InlineData("standby --listen [::1]:7 --witness file:w --report-fd 1", "'1' is no open descriptor", "inherited")]
    [InlineData("run --drive file=a --psk-file x", "--standby: missing", "HOST:PORT")]
    [InlineData("run --drive file=a --standby h:7 --witness file:w", "h:7 is not on loopback", "--insecure")]
    [InlineData("standby --listen 0.0.0.0:7 --witness file:w", "0.0.0.0:7 is not on loopback", "--psk-file")]
    [InlineData(Pair + " --tls-cert x", "--tls-key: missing beside --tls-cert", "--tls-ca together")]
    [InlineData(Pair + " --tls-ca x", "--tls-cert: missing beside --tls-ca", "--tls-key")]
    [InlineData(Pair + Tls + " --psk-file x", "--psk-file: does not go with --tls-cert", "or --insecure")]
    [InlineData(Pair + Tls + " --insecure", "--insecure: does not go with --tls-cert", "--psk-file")]
    [InlineData(Pair + " --psk-file x --insecure", "--insecure: does not go with --psk-file", "--tls-cert")]
    [InlineData(Pair + " --psk-file /nonexistent", "--psk-file: '/nonexistent': no such file", "a readable file")]
    [InlineData(Pair + " --psk-file /etc", "--psk-file: '/etc'", "a file")]
    [InlineData(Pair + Tls, "--tls-cert: '/nonexistent/c': no such file", "PEM file with a certificate")]
    [InlineData("run --drive file=a --control " + LongHost, "a path of 254 bytes", "1 to 100 bytes")]
    [InlineData("run --drive file=a --metrics 9100", "--metrics: '9100' is not an address", "a port from 0 to 65535")]
    [InlineData("status", "--control: missing", "PATH")]
    [InlineData("status --control " + LongHost, "a path of 254 bytes", "1 to 100 bytes")]
    [InlineData("events --follow", "--control: missing", "PATH")]
    [InlineData("stop", "--control: missing", "PATH")]
    [InlineData("stop now", "'now'", "hv stop --help")]
    [InlineData("takeover", "--control: missing", "PATH")]
    [InlineData("top", "--control: missing", "PATH")]
    [InlineData("boot-test --drive file=a", "--expect: missing", "--expect TEXT")]
    [InlineData("boot-test --drive file=a --expect x --send \\q", "unknown escape", "\\n \\r")]
    [InlineData("boot-test --drive file=a --expect x --timeout 0s", "'0s' is out of range", "1ms to 24h")]
    [InlineData("boot-test --drive file=a --expect x --serial null", "COM1 belongs to the script", "--serial-log")]
    [InlineData("img", "Required command", "hv img --help")]
    [InlineData("img create", "'file'", "hv img create --help")]
    [InlineData("img create /tmp/none.img 7", "7 is no disk", "512")]
    [InlineData("img create /tmp/none.img 0", "0 is no disk", "512")]
    [InlineData("img create /tmp/none.img 1G --format vhd", "format=vhd is not known", "raw")]
    public void Wrong_words_end_with_code_2(string words, string what, string allowed)
    {
        AssertRefused(Split(words), Usage, what);
        Assert.Contains(allowed, Refuse(Split(words)).Line, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("run --kernel /nonexistent/vmlinuz", "kernel /nonexistent/vmlinuz: no such file")]
    [InlineData("run --kernel /etc", "kernel /etc: not a regular file")]
    [InlineData("run --firmware /nonexistent/bios", "firmware /nonexistent/bios: no such file")]
    [InlineData("linux --files /nonexistent", "/nonexistent/vmlinuz is missing")]
    [InlineData("img create /nonexistent/disk.img 1M", "/nonexistent/disk.img")]
    [InlineData("img info /nonexistent.img", "/nonexistent.img")]
    [InlineData("witness show file:/nonexistent/pair", "/nonexistent/pair")]
    [InlineData("run --guest counting --control /nonexistent/a", "--control /nonexistent/a: no such folder")]
    [InlineData("run --guest counting --control /etc", "--control /etc: the file exists and is no socket of ours")]
    [InlineData("run --guest counting --metrics 192.0.2.1:1", "--metrics 192.0.2.1:1: ")]
    [InlineData("status --control /nonexistent/a", "--control /nonexistent/a: no such socket")]
    [InlineData("status --control /etc/passwd", "--control /etc/passwd: nobody listens there")]
    [InlineData("top --control /nonexistent/a", "--control /nonexistent/a: no such socket")]
    public void What_cannot_be_done_ends_with_code_1(string words, string what)
        => AssertRefused(Split(words), Failure, what);

    [Fact]
    public void New_image_never_replaces_a_file_that_exists()
    {
        string path = Path.GetTempFileName(); // never a file that matters: a failure of this test destroys it
        File.WriteAllText(path, "precious");

        AssertRefused(["img", "create", path, "1M"], Failure, "the file exists");
        Assert.Equal("precious", File.ReadAllText(path));
        File.Delete(path);
    }

    [Fact]
    public void Image_that_is_no_multiple_of_512_is_refused()
    {
        string path = Path.GetTempFileName();
        File.WriteAllBytes(path, new byte[513]);

        AssertRefused(["img", "info", path], Failure, path);
        File.Delete(path);
    }

    private static string[] Split(string words) => words.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static (int Code, string Line) Refuse(string[] words)
    {
        using var errors = new StringWriter();
        int code = global::Hypervisor.Program.Run(words, errors);
        return (code, errors.ToString());
    }

    private static void AssertRefused(string[] words, int expectedCode, string what)
    {
        (int code, string line) = Refuse(words);

        Assert.Equal(expectedCode, code);
        Assert.Contains(what, line, StringComparison.Ordinal);
        Assert.StartsWith("hv: ", line, StringComparison.Ordinal);
        Assert.Single(line.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.DoesNotContain("internal error", line, StringComparison.Ordinal);
    }
}
