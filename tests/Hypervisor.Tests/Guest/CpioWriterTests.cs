using System.IO;
using System.Text;
using Hypervisor.Guest.Initramfs;
using Xunit;

namespace Hypervisor.Tests.Guest;

public sealed class CpioWriterTests
{
    [Fact]
    public void A_file_is_header_name_and_data_padded_to_four()
    {
        using var stream = new MemoryStream();
        var archive = new CpioWriter(stream);

        archive.AddFile("init", "hello"u8, executable: true);
        archive.Finish();

        const string Header = "070701" + "00000001" + "000081ED" + "00000000" + "00000000" + "00000001" + "00000000"
            + "00000005" + "00000000" + "00000000" + "00000000" + "00000000" + "00000005" + "00000000";
        string text = Encoding.ASCII.GetString(stream.ToArray());
        Assert.StartsWith(Header + "init\0\0" + "hello\0\0\0" + "070701", text, System.StringComparison.Ordinal);
        Assert.EndsWith("TRAILER!!!\0\0\0\0", text, System.StringComparison.Ordinal);
        Assert.Equal(0, stream.Length % 4);
    }

    [Theory]
    [InlineData("/absolute")]
    [InlineData("")]
    public void A_path_that_is_not_relative_is_refused(string path)
        => Assert.Throws<System.ArgumentException>(() => new CpioWriter(new MemoryStream()).AddDirectory(path));

    [Fact]
    public void Devices_links_and_directories_have_their_modes()
    {
        using var stream = new MemoryStream();
        var archive = new CpioWriter(stream);

        archive.AddDirectory("dev");
        archive.AddCharacterDevice("dev/console", 5, 1);
        archive.AddLink("sh", "busybox");

        string text = Encoding.ASCII.GetString(stream.ToArray());
        Assert.Contains("000041ED", text, System.StringComparison.Ordinal);
        Assert.Contains("00002180", text, System.StringComparison.Ordinal);
        Assert.Contains("0000000500000001", text, System.StringComparison.Ordinal);
        Assert.Contains("0000A1FF", text, System.StringComparison.Ordinal);
    }
}
