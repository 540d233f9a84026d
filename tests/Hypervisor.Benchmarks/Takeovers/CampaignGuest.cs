using System;
using System.Collections.Generic;
using System.Net.Sockets;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>The guest of a campaign.</summary>
/// <param name="Linux">Folder with vmlinuz and initrd.gz.</param>
/// <param name="Disk">Its disk; copies of it are used.</param>
/// <param name="Test">`hvtest=` of its init.</param>
/// <param name="Typed">Lines for its console, once it is up; the last of them leads to NET-READY.</param>
/// <param name="Port">Where its server is called.</param>
/// <param name="Talk">Makes the client of a connection to it.</param>
/// <param name="IsShared">Whether both hosts reach one image of the disk, besides one of their own.</param>
internal sealed record CampaignGuest(
    string Linux,
    string Disk,
    string Test,
    IReadOnlyList<string> Typed,
    int Port,
    Func<Socket, HistoryClient> Talk,
    bool IsShared = false);
