"""The work queue keeps keys, each once, and knows when the next one is due."""

from __future__ import annotations

from kitlib.client import WorkQueue
from kitlib.objects.clock import FakeClock


def take_all(queue: WorkQueue) -> list[str]:
    keys = []
    while (key := queue.get()) is not None:
        keys.append(key)
        queue.done(key)
    return keys


def test_a_waiting_key_is_not_added_twice():
    queue = WorkQueue(FakeClock())
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert take_all(queue) == ["a", "b"]


def test_a_key_added_while_it_is_worked_on_comes_back_after_done():
    queue = WorkQueue(FakeClock())
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    assert queue.get() is None
    queue.done("a")
    assert queue.get() == "a"
    queue.done("a")
    assert queue.get() is None


def test_a_delayed_key_is_due_at_its_earliest_time_and_only_once():
    clock = FakeClock()
    queue = WorkQueue(clock)
    queue.add_after("a", 10)
    queue.add_after("a", 3)
    queue.add_after("a", 7)
    assert queue.next_due() == clock.monotonic() + 3
    clock.advance(2.9)
    assert queue.get() is None
    clock.advance(0.2)
    assert take_all(queue) == ["a"]
    clock.advance(60)
    assert take_all(queue) == []
    assert queue.next_due() is None


def test_each_failure_doubles_the_pause_until_it_is_forgotten():
    clock = FakeClock()
    queue = WorkQueue(clock)
    pauses = []
    for _ in range(5):
        queue.add_rate_limited("a")
        pauses.append(round((queue.next_due() or 0) - clock.monotonic(), 3))
        clock.advance(pauses[-1] + 0.0001)
        take_all(queue)
    assert pauses == [0.005, 0.01, 0.02, 0.04, 0.08]
    queue.forget("a")
    queue.add_rate_limited("a")
    assert round((queue.next_due() or 0) - clock.monotonic(), 3) == 0.005


def test_the_pause_never_exceeds_a_thousand_seconds():
    clock = FakeClock()
    queue = WorkQueue(clock)
    for _ in range(60):
        queue.add_rate_limited("a")
        clock.advance(2000)
        take_all(queue)
    queue.add_rate_limited("a")
    assert (queue.next_due() or 0) - clock.monotonic() == 1000
