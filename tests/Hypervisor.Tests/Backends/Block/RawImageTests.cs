using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.IO;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Images;
using Xunit;

namespace Hypervisor.Tests.Backends.Block;

public sealed class RawImageTests : IDisposable
{
    private const int Size = 1 << 20;

    private readonly string _path = Path.Combine(Path.GetTempPath(), $"hv-raw-{Guid.NewGuid():N}.img");
    private readonly ConcurrentQueue<string> _reports = new();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Written_bytes_are_read_back_and_are_in_the_file(bool isDirect)
    {
        RawImage.Create(_path, Size);
        byte[] data = Pattern(70_000, 3);
        using (RawImage image = OpenWriter(isDirect))
        using (var disk = new BlockingBlockDevice(image))
        {
            Assert.Equal(BlockStatus.Ok, disk.Write(1234, data)); // aligned to nothing at all
            Assert.Equal(BlockStatus.Ok, disk.Flush());
            byte[] read = new byte[data.Length];
            Assert.Equal(BlockStatus.Ok, disk.Read(1234, read));
            Assert.Equal(data, read);
        }

        byte[] file = File.ReadAllBytes(_path);
        Assert.Equal(Size, file.Length);
        Assert.Equal(data, file[1234..(1234 + data.Length)]);
        Assert.Equal(0, file.AsSpan(0, 1234).IndexOfAnyExcept((byte)0) + 1);
        Assert.Equal(0, file.AsSpan(1234 + data.Length).IndexOfAnyExcept((byte)0) + 1);
    }

    [Fact]
    public void Resize_keeps_its_place_among_writes_and_what_it_adds_is_zero()
    {
        RawImage.Create(_path, Size);
        using RawImage image = OpenWriter(isDirect: false);
        using var disk = new BlockingBlockDevice(image);
        disk.Write(0, Pattern(Size, 1));

        Assert.Equal(BlockStatus.Ok, Resize(image, Size / 2));
        Assert.Equal(BlockStatus.OutOfRange, disk.Write(Size / 2, new byte[512]));
        Assert.Equal(BlockStatus.Ok, Resize(image, 2 * Size));
        byte[] read = new byte[2 * Size];
        Assert.Equal(BlockStatus.Ok, disk.Read(0, read));

        Assert.Equal(2 * Size, new FileInfo(_path).Length);
        Assert.Equal(Pattern(Size, 1)[..(Size / 2)], read[..(Size / 2)]);
        Assert.Equal(0, read.AsSpan(Size / 2).IndexOfAnyExcept((byte)0) + 1);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-512)]
    [InlineData(Size + 1)]
    public void Resize_to_what_no_disk_has_is_refused(long lengthBytes)
    {
        RawImage.Create(_path, Size);
        using RawImage image = OpenWriter(isDirect: false);

        Assert.Equal(BlockStatus.OutOfRange, Resize(image, lengthBytes));
        Assert.Equal(Size, image.LengthBytes);
    }

    [Fact]
    public void Write_submitted_before_a_shrinking_was_done_does_not_make_the_image_bigger_again()
    {
        RawImage.Create(_path, Size);
        using (RawImage image = OpenWriter(isDirect: false))
        {
            using var done = new CountdownEvent(2);
            BlockStatus status = BlockStatus.Ok;
            image.Submit(new BlockRequest(_ => done.Signal())
            {
                Operation = BlockOperation.Resize,
                LengthBytes = Size / 2,
            });
            image.Submit(new BlockRequest(request =>
            {
                status = request.Status;
                done.Signal();
            })
            {
                Operation = BlockOperation.Write,
                OffsetBytes = Size - 512,
                LengthBytes = 512,
                Buffer = new byte[512],
            });
            Assert.True(done.Wait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
            Assert.Equal(BlockStatus.OutOfRange, status);
        }

        Assert.Equal(Size / 2, new FileInfo(_path).Length);
    }

    private static BlockStatus Resize(RawImage image, long lengthBytes)
    {
        using var done = new ManualResetEventSlim();
        var request = new BlockRequest(_ => done.Set())
        {
            Operation = BlockOperation.Resize,
            LengthBytes = lengthBytes,
        };
        image.Submit(request);
        Assert.True(done.Wait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
        return request.Status;
    }

    [Fact]
    public void Zeroed_and_discarded_ranges_read_as_zero_and_their_neighbours_stay()
    {
        RawImage.Create(_path, Size);
        using RawImage image = OpenWriter(isDirect: false);
        using var disk = new BlockingBlockDevice(image);
        disk.Write(0, Pattern(Size, 1));

        Assert.Equal(BlockStatus.Ok, disk.WriteZeroes(4096, 8192));
        Assert.Equal(BlockStatus.Ok, disk.WriteZeroes(100, 7));
        Assert.Equal(BlockStatus.Ok, disk.Discard(65536, 65536));

        byte[] expected = Pattern(Size, 1);
        expected.AsSpan(4096, 8192).Clear();
        expected.AsSpan(100, 7).Clear();
        expected.AsSpan(65536, 65536).Clear();
        byte[] read = new byte[Size];
        disk.Read(0, read);
        Assert.Equal(expected, read);
    }

    [Fact]
    public void Discard_gives_host_storage_back()
    {
        RawImage.Create(_path, Size);
        Assert.Equal(0, ImageInfo.Read(_path, "raw").AllocatedBytes);
        using RawImage image = OpenWriter(isDirect: false);
        using var disk = new BlockingBlockDevice(image);
        disk.Write(0, Pattern(Size, 1));
        disk.Flush();
        long full = ImageInfo.Read(_path, "raw").AllocatedBytes;

        disk.Discard(0, Size);

        Assert.True(full >= Size);
        Assert.True(ImageInfo.Read(_path, "raw").AllocatedBytes < full);
        Assert.Equal(Size, ImageInfo.Read(_path, "raw").LengthBytes);
    }

    [Theory]
    [InlineData(0, Size + 1)]
    [InlineData(Size, 1)]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(long.MaxValue, 512)]
    [InlineData(512, long.MaxValue)]
    public void Range_outside_the_image_is_refused(long offset, long length)
    {
        RawImage.Create(_path, Size);
        using RawImage image = OpenWriter(isDirect: false);
        using var disk = new BlockingBlockDevice(image);

        Assert.Equal(BlockStatus.OutOfRange, disk.WriteZeroes(offset, length));
        Assert.Equal(BlockStatus.OutOfRange, disk.Discard(offset, length));
    }

    [Fact]
    public void Read_only_image_refuses_every_change()
    {
        RawImage.Create(_path, Size);
        using RawImage image = RawImage.Open(_path, isReadOnly: true, isDirect: false, _reports.Enqueue);
        using var disk = new BlockingBlockDevice(image);

        Assert.True(image.IsReadOnly);
        Assert.Equal(BlockStatus.ReadOnly, disk.Write(0, new byte[512]));
        Assert.Equal(BlockStatus.ReadOnly, disk.WriteZeroes(0, 512));
        Assert.Equal(BlockStatus.ReadOnly, disk.Discard(0, 512));
        Assert.Equal(BlockStatus.Ok, disk.Flush());
    }

    [Fact]
    public void Overlapping_writes_in_flight_end_in_the_order_of_their_submission()
    {
        RawImage.Create(_path, Size);
        const int count = 500;
        using var done = new CountdownEvent(count);
        using RawImage image = OpenWriter(isDirect: false);
        for (int i = 1; i <= count; i++)
        {
            // Each covers a window that overlaps the ones before and after; the last writer of a byte must win.
            byte[] data = new byte[8192];
            Array.Fill(data, (byte)i);
            image.Submit(new BlockRequest(_ => done.Signal())
            {
                Operation = BlockOperation.Write,
                OffsetBytes = i * 2048 % 10_240,
                LengthBytes = data.Length,
                Buffer = data,
            });
        }

        done.Wait(TestContext.Current.CancellationToken);

        byte[] expected = new byte[16_384];
        for (int i = 1; i <= count; i++)
        {
            expected.AsSpan(i * 2048 % 10_240, 8192).Fill((byte)i);
        }

        using var disk = new BlockingBlockDevice(image);
        byte[] read = new byte[expected.Length];
        disk.Read(0, read);
        Assert.Equal(expected, read);
    }

    [Fact]
    public void Closing_finishes_what_was_submitted()
    {
        RawImage.Create(_path, Size);
        int completed = 0;
        RawImage image = OpenWriter(isDirect: false);
        for (int i = 0; i < 100; i++)
        {
            image.Submit(new BlockRequest(_ => Interlocked.Increment(ref completed)) // counts across workers
            {
                Operation = BlockOperation.Write,
                OffsetBytes = 0,
                LengthBytes = 512,
                Buffer = new byte[512],
            });
        }

        image.Dispose();

        Assert.Equal(100, completed);
    }

    [Fact]
    public void Shrunken_file_fails_the_read_and_is_reported_once()
    {
        RawImage.Create(_path, Size);
        using RawImage image = OpenWriter(isDirect: false);
        using var disk = new BlockingBlockDevice(image);
        using (FileStream file = new(_path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(512);
        }

        Assert.Equal(BlockStatus.IoError, disk.Read(4096, new byte[512]));
        Assert.Equal(BlockStatus.IoError, disk.Read(4096, new byte[512]));

        Assert.Contains(_path, Assert.Single(_reports), StringComparison.Ordinal);
    }

    [Fact]
    public void Rule_41_second_writer_is_refused_in_one_line_until_the_first_closes()
    {
        RawImage.Create(_path, Size);
        using (OpenWriter(isDirect: false))
        {
            BlockImageException e = Assert.Throws<BlockImageException>(() => OpenWriter(isDirect: false));
            Assert.Contains(_path, e.Message, StringComparison.Ordinal);
            Assert.Contains("in use", e.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', e.Message);
            Assert.Throws<BlockImageException>(() => OpenReader());
            Assert.Throws<BlockImageException>(() => RawImage.Create(_path, Size));
        }

        OpenWriter(isDirect: false).Dispose();
    }

    [Fact]
    public void Readers_share_and_keep_a_writer_out()
    {
        RawImage.Create(_path, Size);
        using RawImage first = OpenReader();
        using RawImage second = OpenReader();

        BlockImageException e = Assert.Throws<BlockImageException>(() => OpenWriter(isDirect: false));

        Assert.Contains("reads it", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rule_41_lock_of_another_process_counts()
    {
        RawImage.Create(_path, Size);
        var start = new ProcessStartInfo("python3")
        {
            ArgumentList =
            {
                "-c",
                "import fcntl,struct,sys\n"
                + "f=open(sys.argv[1],'r+b')\n"
                + "fcntl.fcntl(f,37,struct.pack('hhqqi4x',0,0,101,1,0))\n"
                + "print('held',flush=True)\n"
                + "sys.stdin.read()\n",
                _path,
            },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        Process? other = null;
        try
        {
            other = Process.Start(start);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("no python3 on this host");
        }

        using (other)
        {
            Assert.Equal("held", other!.StandardOutput.ReadLine());
            Assert.Throws<BlockImageException>(() => OpenReader());
            other.StandardInput.Close();
            other.WaitForExit();
        }

        OpenReader().Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(511)]
    [InlineData(1025)]
    public void Image_of_a_size_that_no_disk_has_is_refused(int size)
    {
        File.WriteAllBytes(_path, new byte[size]);

        BlockImageException e = Assert.Throws<BlockImageException>(() => OpenReader());

        Assert.Contains($"size {size}", e.Message, StringComparison.Ordinal);
        Assert.Contains("512", e.Message, StringComparison.Ordinal);
        Assert.Throws<BlockImageException>(() => RawImage.Create(_path, size));
    }

    [Fact]
    public void File_with_contents_is_never_replaced_by_a_new_image()
    {
        File.WriteAllText(_path, "precious");

        BlockImageException e = Assert.Throws<BlockImageException>(() => RawImage.Create(_path, Size));

        Assert.Contains("the file exists", e.Message, StringComparison.Ordinal);
        Assert.Equal("precious", File.ReadAllText(_path));
    }

    [Fact]
    public void Missing_file_directory_and_unknown_format_are_refused_by_name()
    {
        Assert.Contains(_path, Refusal(_path, "raw"), StringComparison.Ordinal);
        Assert.Contains("/tmp", Refusal("/tmp", "raw"), StringComparison.Ordinal);
        Assert.Contains("neither", Refusal("/dev/null", "raw"), StringComparison.Ordinal);
        Assert.Contains("allowed are raw", Refusal(_path, "vhdx"), StringComparison.Ordinal);
        Assert.Throws<BlockImageException>(() => RawImage.Create("/nonexistent/x.img", Size));
        Assert.Throws<BlockImageException>(() => ImageInfo.Read(_path, "raw"));
    }

    private static byte[] Pattern(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private string Refusal(string path, string format)
        => Assert.Throws<BlockImageException>(
            () => BlockChain.Open(new DriveOptions(path) { Format = format }, _reports.Enqueue)).Message;

    private RawImage OpenWriter(bool isDirect) => RawImage.Open(_path, isReadOnly: false, isDirect, _reports.Enqueue);

    private RawImage OpenReader() => RawImage.Open(_path, isReadOnly: true, isDirect: false, _reports.Enqueue);
}
