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
    private readonly Action<string> _tell;
    private readonly Thread _thread;
    private string _told = ""; // the failure that people know of; a witness that is away is asked again and again

    /// <summary>Starts the thread. Both are called on it.</summary>
    /// <param name="witness">Whom to ask.</param>
    /// <param name="post">Takes each answer.</param>
    /// <param name="tell">Takes a line for people when the witness fails in a new way, or answers again.</param>
    public WitnessWorker(IWitness witness, Action<WitnessAnswer> post, Action<string> tell)
    {
        _witness = witness;
        _tell = tell;
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

                WitnessAnswer answer = _witness.Ask(question.Request);
                Tell(answer.Outcome);
                _post(answer);
            }
        }
    }

    private void Tell(WitnessOutcome outcome)
    {
        string failure = outcome == WitnessOutcome.Unreachable ? _witness.LastError : "";
        if (failure != _told)
        {
            _told = failure;
            _tell(failure.Length == 0 ? "the witness answers again" : $"not answered: {failure}");
        }
    }
}
