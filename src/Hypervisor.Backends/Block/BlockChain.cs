using System;
using Hypervisor.Backends.Block.Filters;

namespace Hypervisor.Backends.Block;

/// <summary>Builds the stack of filters over an image that a drive's options ask for.</summary>
public static class BlockChain
{
    /// <summary>Opens a drive. The caller owns the result.</summary>
    /// <param name="options">What the user said.</param>
    /// <param name="report">Gets one line when the host fails a request for the first time.</param>
    /// <exception cref="BlockImageException">The image can't be used that way; one line says why.</exception>
    public static IBlockDevice Open(DriveOptions options, Action<string> report)
    {
        bool isDirect = options.Cache is CacheMode.None or CacheMode.Directsync;
        bool isImageReadOnly = options.IsReadOnly || options.IsSnapshot;
        IBlockDevice device = BlockFormat.Named(options.Format).Open(options.File, isImageReadOnly, isDirect, report);
        if (options.IsSnapshot)
        {
            device = OverlayOver(device, report);
        }

        device = options.Cache switch
        {
            CacheMode.Writeback or CacheMode.None => device,
            CacheMode.Writethrough or CacheMode.Directsync => new WriteThroughFilter(device),
            CacheMode.Unsafe => new IgnoreFilter(device, BlockOperation.Flush),
        };
        if (!options.IsDiscardPassed)
        {
            device = new IgnoreFilter(device, BlockOperation.Discard);
        }

        return options.IsReadOnly && options.IsSnapshot ? new ReadOnlyFilter(device) : device;
    }

    private static SnapshotOverlay OverlayOver(IBlockDevice image, Action<string> report)
    {
        try
        {
            return new SnapshotOverlay(image, report);
        }
        catch (BlockImageException)
        {
            image.Dispose();
            throw;
        }
    }
}
