"""The crew of a worker: which child gets which run, and what becomes of the runs of one that dies."""

import contextlib
import pickle
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from millstream_shared import packing
from millstream_shared.claims import Claim
from millstream_worker import channels, children, crews, forking
from millstream_worker.channels import ChildEnd
from millstream_worker.crews import CannotStart, Crew, News
from millstream_worker.nursery import Forked, Nursery
from millstream_worker.successions import Wear
from tests.harness import eventually


class Spoken:
    """What a real child would be: speaks and listens at the other end of its channel, as the test tells it."""

    pid = 0

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._end = ChildEnd(end)
        self._stream = packing.Stream()
        self.exit_code: int | None = None

    def say(self, kind: str, content: object = None) -> None:
        self._end.send(kind, content)

    def heard(self) -> list:
        """All messages that lie in the channel."""
        found: list = []
        with contextlib.suppress(BlockingIOError):
            while data := self._socket.recv(1 << 16, socket.MSG_DONTWAIT):
                found.extend(self._stream.feed(data))
        return found

    def runs(self) -> list[str]:
        """The runs that it was given since the last time."""
        return [run_id for kind, content in self.heard() if kind == channels.RUN for run_id, *_ in content]

    @property
    def worker(self) -> str:
        """For whom it is to work."""
        _, (_, worker) = pickle.loads(dict(self.heard())[channels.CALL])
        return worker

    def die(self, status: int = -9) -> None:
        self.exit_code = status
        self._socket.close()

    def kill(self) -> None:
        self.die()

    def wait(self, timeout: float) -> int | None:
        assert timeout >= 0
        return self.exit_code


class Playing(Nursery):
    """Has for each child that is asked for one in this process."""

    def __init__(self) -> None:
        self.started: list[Spoken] = []

    def fork(self, end: socket.socket, kind: bytes) -> Forked:
        assert kind == forking.TASKS
        self.started.append(Spoken(end.dup()))
        return cast("Forked", self.started[-1])


@pytest.fixture
def nursery() -> Iterator[Playing]:
    playing = Playing()
    yield playing
    for child in playing.started:
        child.die()


@pytest.fixture
def started(nursery: Playing) -> list[Spoken]:
    """The children that were started, in order."""
    return nursery.started


@pytest.fixture
def crew(nursery: Playing, started: list[Spoken]) -> Iterator[Crew]:
    """Two children with two threads each, ready for work."""
    crew = Crew(nursery, 2, 2)
    crew.start("worker-1")
    started[0].say(channels.READY)
    news(crew)
    started[1].say(channels.READY)
    news(crew)
    yield crew
    crew.kill()
    crew.selector.close()


def news(crew: Crew) -> News:
    """What the children have just said, all of them together."""
    total = News()
    for key, _ in eventually(lambda: crew.selector.select(0)):
        one = crew.listen(key.data, writable=False)
        for name in ("ended", "returned", "lost", "deaths"):
            getattr(total, name).extend(getattr(one, name))
    return total


def claims(*names: str, is_async: bool = False) -> list[Claim]:
    return [Claim(name, 1, is_async, 0, 0, b"payload") for name in names]


def done(*names: str) -> list:
    return [[name, 1, b"record"] for name in names]


def test_the_second_child_is_started_when_the_first_is_ready(nursery: Playing, started: list[Spoken]) -> None:
    """So that the first does not share the processor with it while it gets ready."""
    crew = Crew(nursery, 2, 2)
    crew.start("worker-1")
    assert (len(started), crew.is_ready, crew.free_slots(0)) == (1, False, (0, 0))
    started[0].say(channels.READY)
    news(crew)
    assert (len(started), crew.is_ready) == (2, True)
    assert {child.worker for child in started} == {"worker-1"}
    crew.kill()


def test_runs_go_to_free_threads_first(crew: Crew, started: list[Spoken]) -> None:
    """And what is claimed ahead is shared out, in order."""
    assert crew.free_slots(ahead=5)[0] == 4 + 5
    crew.assign(claims(*"abc"))
    given = [child.runs() for child in started]
    assert sorted(map(len, given)) == [1, 2]
    assert crew.free_slots(ahead=0)[0] == 1
    crew.assign(claims(*"defghi"))
    assert sorted(len(given[at]) + len(child.runs()) for at, child in enumerate(started)) in ([4, 5], [3, 6])
    assert crew.has_surplus
    assert sorted(crew.in_flight) == list("abcdefghi")


def test_async_runs_take_no_thread(crew: Crew, started: list[Spoken]) -> None:
    """They go to the child that has fewest of them."""
    _, before = crew.free_slots(0)
    crew.assign(claims(*"abc", is_async=True))
    crew.assign(claims(*"de", is_async=True))
    assert sorted(map(sorted, (child.runs() for child in started))) == [list("abc"), list("de")]
    assert crew.free_slots(0) == (4, before - 5)


def test_what_ended_is_told_once(crew: Crew, started: list[Spoken]) -> None:
    """An outcome of a run that the child does not have, any more or ever, is none."""
    crew.assign(claims("a"))
    [child] = [child for child in started if child.runs()]
    child.say(channels.DONE, done("a", "a", "z"))
    assert news(crew).ended == done("a")
    assert crew.is_idle


def test_a_lent_thread_makes_room_and_nothing_is_claimed_ahead(crew: Crew, started: list[Spoken]) -> None:
    """Until the run that waits goes on."""
    crew.assign(claims(*"abcd"))
    started[0].say(channels.LENT, +1)
    news(crew)
    assert crew.free_slots(ahead=5)[0] == 1
    started[0].say(channels.LENT, -1)
    news(crew)
    assert crew.free_slots(ahead=5)[0] == 5


def test_what_a_child_gives_back_is_told(crew: Crew, started: list[Spoken]) -> None:
    """It was not begun, and is no longer its own."""
    crew.assign(claims(*"abcdefgh"))
    crew.ask_back()
    for child in started:
        heard = child.heard()
        runs = [run_id for kind, content in heard if kind == channels.RUN for run_id, *_ in content]
        assert heard[-1] == [channels.GIVE_BACK, None]
        child.say(channels.RETURNED, runs[2:])
    assert len(news(crew).returned) == 4
    assert len(crew.in_flight) == 4
    assert not crew.has_surplus


def test_children_that_get_on_are_not_asked_back(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one that has more than it can begin and has been silent for a while."""
    now = [100.0]
    monkeypatch.setattr(crews, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(children, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for child in crew._children:
        child.heard_at = now[0]
    crew.assign(claims(*"abcdefgh"))
    assert not crew.ask_back_from_stalled()
    now[0] += 1
    assert crew.ask_back_from_stalled()
    assert not crew.ask_back_from_stalled()


def test_a_dead_child_leaves_its_runs_and_is_replaced(crew: Crew, started: list[Spoken]) -> None:
    """What it said before counts; the rest is lost, of it alone, with the cause of its death."""
    crew.assign(claims(*"abcd"))
    given = [child.runs() for child in started]
    started[0].say(channels.DONE, done(given[0][0]))
    started[0].die(-9)
    told = News()

    def death_is_told() -> bool:
        one = news(crew)
        told.ended.extend(one.ended)
        told.lost.extend(one.lost)
        told.deaths.extend(one.deaths)
        return bool(told.deaths)

    eventually(death_is_told)
    assert told.ended == done(given[0][0])
    assert told.lost == given[0][1:]
    assert told.deaths == ["it was ended by SIGKILL"]
    assert sorted(crew.in_flight) == sorted(given[1])
    assert len(started) == 3


def test_children_that_never_get_ready_are_an_error(nursery: Playing, started: list[Spoken]) -> None:
    """After some, with what became of the last."""
    crew = Crew(nursery, 2, 2)
    crew.start("worker-1")

    def die_one_after_the_other() -> None:
        while True:
            started[-1].die(3)
            news(crew)

    with pytest.raises(CannotStart, match="status 3"):
        die_one_after_the_other()
    assert len(started) < 6
    crew.kill()


def test_a_suspect_has_a_child_for_itself(crew: Crew, started: list[Spoken]) -> None:
    """If it kills one more process, no other run is in it; meanwhile the other child works."""
    crew.assign(claims("a"), suspects=claims("bad", "worse"))
    given = {name: child for child in started for name in child.runs()}
    assert set(given) == {"a", "bad"}
    assert given["a"] is not given["bad"]
    assert crew.free_slots(9) == (0, 0)
    given["bad"].say(channels.DONE, done("bad"))
    news(crew)
    assert given["bad"].runs() == ["worse"]
    assert crew.free_slots(0)[0] == 1
    given["bad"].say(channels.DONE, done("worse"))
    news(crew)
    assert crew.free_slots(0)[0] == 3


@pytest.fixture
def wearing(nursery: Playing, started: list[Spoken]) -> Iterator[Crew]:
    """One child with two threads, ready, that is worn after four runs."""
    crew = Crew(nursery, 1, 2, Wear(most_runs=4))
    crew.start("worker-1")
    started[0].say(channels.READY)
    news(crew)
    yield crew
    crew.kill()
    crew.selector.close()


def test_a_worn_child_works_until_its_successor_is_ready(wearing: Crew, started: list[Spoken]) -> None:
    """That is started early; then all goes to it, and the old one returns what it has not begun and is let go."""
    wearing.assign(claims("a"))
    wearing.tend()
    assert len(started) == 1
    wearing.assign(claims(*"bcd"))
    assert wearing.tend().replaced == []
    assert len(started) == 2
    wearing.assign(claims("e"))
    assert started[0].runs() == list("abcde")
    started[1].say(channels.READY)
    news(wearing)
    assert wearing.tend().replaced == ["it was given 5 runs"]
    assert started[0].heard() == [[channels.GIVE_BACK, None]]
    wearing.assign(claims("f"))
    assert (started[0].runs(), started[1].runs()) == ([], ["f"])
    started[0].say(channels.RETURNED, list("cde"))
    started[0].say(channels.DONE, done("a", "b"))
    news(wearing)
    wearing.tend()
    assert wearing.in_flight == ["f"]
    assert len(wearing._children) == 1
    assert len(started) == 2


def test_a_successor_takes_the_place_of_one_that_dies(wearing: Crew, started: list[Spoken]) -> None:
    """It is there already, so no other one is started."""
    wearing.assign(claims(*"abc"))
    wearing.tend()
    started[1].say(channels.READY)
    news(wearing)
    started[0].die()
    assert news(wearing).lost == list("abc")
    wearing.assign(claims("d"))
    assert started[1].runs() == ["d"]
    assert len(started) == 2


def test_children_that_die_one_after_the_other_are_started_after_pauses(crew: Crew, started: list[Spoken]) -> None:
    """Once a crew has worked it does not give up, and each pause is longer than the one before."""
    pauses = []
    for _ in range(3):
        started[-1].die(3)
        begun, count = time.monotonic(), len(started)
        news(crew)
        eventually(lambda count=count: crew.tend() and len(started) > count)
        pauses.append(time.monotonic() - begun)
    assert pauses[2] > 0.4 > pauses[0]
    assert pauses[1] > 0.2
    assert len(started) == 2 + 3


def test_a_crew_that_is_renewed_begins_nothing_in_the_old_children(crew: Crew, started: list[Spoken]) -> None:
    """They end what they have; what is assigned from then on goes to new ones, as soon as the first is ready."""
    crew.assign(claims("a"))
    crew.renew()
    crew.tend()
    assert crew.free_slots(5) == (0, 0)
    started[2].say(channels.READY)
    news(crew)
    crew.assign(claims("b"))
    assert started[2].runs() == ["b"]
    assert sorted(crew.in_flight) == ["a", "b"]
    assert len(crew._children) == 3  # the old one that works, the new one, and the next that starts
