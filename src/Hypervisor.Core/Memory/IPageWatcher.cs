namespace Hypervisor.Core.Memory;

/// <summary>What must happen before a store to a page that is not plainly dirty. One watcher per purpose.</summary>
public interface IPageWatcher
{
    /// <summary>
    /// Called on the storing thread before bytes [<paramref name="ramOffset"/>, +<paramref name="lengthBytes"/>)
    /// change.
    /// The range stays inside one page.
    /// </summary>
    void BeforeWrite(long ramOffset, int lengthBytes);
}
