using System;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Block.Images;

namespace Hypervisor.Backends.Block;

/// <summary>Builds the stack of filters over an image that a drive's options ask for.</summary>
public static class BlockChain
{
    /// <summary>Opens a drive. The caller owns the result.</summary>
    /// <param name="options">What the user said.</param>
    /// <param name="report">Gets one line when the host fails a request for the first time.</param>
    /// <param name="isFollower">Whether a shared image is left to the other half for now.</param>
    /// <exception cref="BlockImageException">The image can't be used that way; one line says why.</exception>
    public static IBlockDevice Open(DriveOptions options, Action<string> report, bool isFollower = false)
    {
        bool isDirect = options.Cache is CacheMode.None or CacheMode.Directsync;
        if (options.IsShared)
        {
            return OpenShared(options, isDirect, report, isFollower);
        }

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

    // No filter above it: what both halves see is what the image does.
    private static SharedDisk OpenShared(DriveOptions options, bool isDirect, Action<string> report, bool isFollower)
    {
        RawImage image = RawImage.OpenUnlocked(options.File, isDirect, report);
        IBlockDevice below = options.IsDiscardPassed ? image : new IgnoreFilter(image, BlockOperation.Discard);
        var shared = new SharedDisk(below, image.TryLock, image.Unlock);
        if (isFollower || shared.TryAcquire())
        {
            return shared;
        }

        shared.Dispose();
        throw new BlockImageException($"{options.File}: in use by another instance; allowed is one half at a time");
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
