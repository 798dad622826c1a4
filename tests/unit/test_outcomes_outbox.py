"""The outbox of a child process: outcomes go out soon, each once, many together."""

import threading

from millstream_worker.outcomes import Outbox, Outcome
from tests.harness import eventually


def outcome(number: int) -> Outcome:
    return f"{number:032x}", 1, b"record"


def test_an_outcome_goes_at_once_when_no_other_is_near() -> None:
    """In the thread that puts it: it is sent when `put` returns."""
    sent: list[list[Outcome]] = []
    outbox = Outbox(sent.append)
    for number in range(3):
        outbox.put(outcome(number), more_to_come=False)
    assert sent == [[outcome(0)], [outcome(1)], [outcome(2)]]


def test_one_that_is_kept_for_others_goes_with_them() -> None:
    """In the order in which they were put, and in fewer messages than there are outcomes."""
    sent: list[list[Outcome]] = []
    outbox = Outbox(sent.append)
    for number in range(2000):
        outbox.put(outcome(number), more_to_come=True)
    outbox.put(outcome(2000), more_to_come=False)
    assert [each for batch in sent for each in batch] == [outcome(number) for number in range(2001)]
    assert len(sent) < 2000


def test_one_that_is_kept_goes_by_itself_when_no_other_comes() -> None:
    """Soon: the run would seem to go on for ever."""
    sent: list[list[Outcome]] = []
    outbox = Outbox(sent.append)
    for number in range(5):
        outbox.put(outcome(number), more_to_come=True)
    eventually(lambda: sum(map(len, sent)) == 5, 2)


def test_threads_share_it() -> None:
    """Nothing is lost or sent twice, and no two threads send at the same time."""
    sent: list[str] = []
    sending = threading.Lock()

    def send(batch: list[Outcome]) -> None:
        assert sending.acquire(blocking=False)
        sent.extend(run_id for run_id, _, _ in batch)
        sending.release()

    outbox = Outbox(send)

    def put(first: int) -> None:
        for number in range(first, first + 500):
            outbox.put(outcome(number), more_to_come=number % 3 > 0)

    threads = [threading.Thread(target=put, args=(1000 * at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(outcome(1000 * at + number)[0] for at in range(4) for number in range(500))
    eventually(lambda: sorted(sent) == expected, 2)
