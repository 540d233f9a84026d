using System;
using System.IO;
using Hypervisor.Backends.Block;
using Hypervisor.CommandLine;
using Hypervisor.Core.Host;
using Hypervisor.Core.State;
using Hypervisor.Machine.Boot;

namespace Hypervisor;

/// <summary>The executable `hv`.</summary>
internal static class Program
{
    private static int Main(string[] words)
    {
        AppDomain.CurrentDomain.UnhandledException += OnUnhandled;
        return Run(words, Console.Error);
    }

    /// <summary>Runs one command line; whatever goes wrong becomes one line on <paramref name="errors"/>.</summary>
    /// <returns>The exit code.</returns>
    internal static int Run(string[] words, TextWriter errors)
    {
        try
        {
            return CommandCatalog.Run(words);
        }
        catch (UsageException error)
        {
            return Report(errors, error.Message, ExitCode.Usage);
        }
        catch (Exception error) when (error is FailureException or HostException or StateFormatException
            or BootException or BlockImageException)
        {
            return Report(errors, error.Message, ExitCode.Failure);
        }
        catch (Exception error) // the root of the main thread: the process ends with it
        {
            return Report(errors, Describe(error), ExitCode.Failure);
        }
    }

    private static int Report(TextWriter errors, string message, int code)
    {
        errors.WriteLine($"hv: {HostErrors.OneLine(message)}");
        return code;
    }

    /// <summary>A bug of ours on another thread: the same one line, and no second chance.</summary>
    private static void OnUnhandled(object sender, UnhandledExceptionEventArgs e)
    {
        _ = Report(Console.Error, Describe(e.ExceptionObject as Exception), ExitCode.Failure);
        Environment.Exit(ExitCode.Failure);
    }

    private static string Describe(Exception? error)
    {
        string place = new System.Diagnostics.StackTrace(error ?? new InvalidOperationException()).GetFrame(0)
            ?.GetMethod()?.ToString() ?? "unknown place";
        return $"internal error, please report: {error?.GetType().Name}: {error?.Message} in {place}";
    }
}
