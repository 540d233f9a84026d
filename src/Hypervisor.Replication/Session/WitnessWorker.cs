using System;
using System.Threading;
using Hypervisor.Replication.Failover;

namespace Hypervisor.Replication.Session;

/// <summary>Asks the witness on a thread of its own, one question after the other.</summary>
internal sealed class WitnessWorker : IDisposable
{
    private readonly IWitness _witness;
    private readonly Action<WitnessAnswer> _post;
    private readonly Inbox<Question> _questions = new();
    private readonly Thread _thread;

    /// <summary>Starts the thread. <paramref name="post"/> is called on it.</summary>
    public WitnessWorker(IWitness witness, Action<WitnessAnswer> post)
    {
        _witness = witness;
        _post = post;
        _thread = new Thread(Run) { Name = "witness", IsBackground = true };
        _thread.Start();
    }

    private readonly record struct Question(bool IsEnd, WitnessRequest Request);

    /// <summary>Queues a question.</summary>
    public void Ask(in WitnessRequest request) => _questions.Post(new Question(false, request));

    /// <inheritdoc/>
    public void Dispose()
    {
        _questions.Post(new Question(true, default));
        _thread.Join();
        _questions.Dispose();
    }

    private void Run()
    {
        while (true)
        {
            if (_questions.TryTake(Timeout.Infinite, out Question question))
            {
                if (question.IsEnd)
                {
                    return;
                }

                _post(_witness.Ask(question.Request));
            }
        }
    }
}
