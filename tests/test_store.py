"""The store keeps one history, and everybody who asks for it gets the same one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitlib.store import Compacted, KeyExists, KeyMissing, RevisionConflict, Store, StoreFull
from kitlib.store import store as store_module
from kitlib.store.log import StoreCorrupt


def obj(name: str, namespace: str = "default", **data: str) -> dict:
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


def seen(watch) -> list[tuple]:
    return [(e.type, e.entry.key.name, e.revision) for e in watch.poll()]


def test_every_change_gets_the_next_revision_and_carries_it():
    store = Store()
    a = store.create("pods", "default", "a", obj("a"))
    b = store.create("configmaps", "default", "b", obj("b"))
    c = store.update("pods", "default", "a", obj("a", x="1"))
    assert [a.revision, b.revision, c.revision] == [1, 2, 3]
    assert c.obj["metadata"]["resourceVersion"] == "3"
    assert b'"resourceVersion":"3"' in c.data
    assert (c.created, c.revision) == (1, 3)


def test_a_writer_with_a_stale_revision_loses():
    store = Store()
    first = store.create("pods", "default", "a", obj("a"))
    store.update("pods", "default", "a", obj("a", x="1"), expect=first.revision)
    with pytest.raises(RevisionConflict) as error:
        store.update("pods", "default", "a", obj("a", x="2"), expect=first.revision)
    assert error.value.entry.revision == 2
    with pytest.raises(RevisionConflict):
        store.delete("pods", "default", "a", expect=first.revision)
    assert store.get("pods", "default", "a").obj["data"] == {"x": "1"}


def test_a_name_is_taken_until_it_is_deleted():
    store = Store()
    store.create("pods", "default", "a", obj("a"))
    with pytest.raises(KeyExists):
        store.create("pods", "default", "a", obj("a"))
    store.delete("pods", "default", "a")
    with pytest.raises(KeyMissing):
        store.delete("pods", "default", "a")
    with pytest.raises(KeyMissing):
        store.update("pods", "default", "a", obj("a"))
    assert store.create("pods", "default", "a", obj("a")).created == 3


def test_a_list_is_sorted_by_namespace_and_name():
    store = Store()
    for namespace, name in [("b", "x"), ("a", "z"), ("a", "y"), ("ab", "w")]:
        store.create("pods", namespace, name, obj(name, namespace))
    assert [(e.key.namespace, e.key.name) for e in store.list("pods")] == [
        ("a", "y"), ("a", "z"), ("ab", "w"), ("b", "x")]
    assert [e.key.name for e in store.list("pods", "a")] == ["y", "z"]
    assert store.list("pods", "c") == []


def test_a_watch_sees_its_namespace_only_and_says_once_that_it_is_ready():
    store, calls = Store(), []
    watch = store.watch("pods", "a")
    watch.on_ready(lambda: calls.append(1))
    store.create("pods", "b", "other", obj("other", "b"))
    assert (calls, seen(watch)) == ([], [])
    store.create("pods", "a", "one", obj("one", "a"))
    store.create("pods", "a", "two", obj("two", "a"))
    assert calls == [1]
    assert seen(watch) == [("ADDED", "one", 2), ("ADDED", "two", 3)]
    store.delete("pods", "a", "one")
    assert calls == [1, 1]
    watch.close()
    store.delete("pods", "a", "two")
    assert seen(watch) == [("DELETED", "one", 4)]


def test_a_deleted_event_has_the_last_state_and_the_revision_of_the_deletion():
    store = Store()
    store.create("pods", "default", "a", obj("a", x="1"))
    watch = store.watch("pods")
    store.delete("pods", "default", "a")
    (event,) = watch.poll()
    assert (event.type, event.entry.obj["data"], event.entry.obj["metadata"]["resourceVersion"]) == (
        "DELETED", {"x": "1"}, "2")


def test_a_watcher_that_never_polls_is_ended_instead_of_filling_the_memory(monkeypatch):
    monkeypatch.setattr("kitlib.store.watch.LIMIT", 10)
    store = Store()
    slow, fast = store.watch("pods"), store.watch("pods")
    total = 0
    for i in range(20):
        store.create("pods", "default", f"p{i}", obj(f"p{i}"))
        total += len(fast.poll())
    assert (slow.closed, slow.overflowed, slow.poll()) == (True, True, [])
    assert (fast.closed, total) == (False, 20)


# One step of a history: (what, which key).  Keys are few, so that they meet often.
STEPS = st.lists(st.tuples(st.sampled_from(["create", "update", "delete", "watch", "poll", "restart"]),
                           st.integers(0, 4)), max_size=60)


def apply_step(store: Store, what: str, number: int, truth: list) -> None:
    """Do one write and note what a perfect observer would have seen."""
    key = ("pods", "default" if number % 2 else "other", f"p{number}")
    exists = store.get(*key) is not None
    if what == "create" and not exists:
        entry = store.create(*key, obj(key[2], key[1], step=str(len(truth))))
        truth.append(("ADDED", entry.key, entry.revision, entry.data))
    elif what == "update" and exists:
        entry = store.update(*key, obj(key[2], key[1], step=str(len(truth))))
        truth.append(("MODIFIED", entry.key, entry.revision, entry.data))
    elif what == "delete" and exists:
        entry = store.delete(*key)
        truth.append(("DELETED", entry.key, entry.revision, entry.data))


def state_at(truth: list, revision: int) -> dict:
    state: dict = {}
    for type_, key, at, data in truth:
        if at <= revision:
            state[key] = data
            if type_ == "DELETED":
                del state[key]
    return dict(sorted(state.items()))


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, durable=st.booleans(), window=st.integers(1, 8))
def test_any_interleaving_of_writes_and_watches_gives_every_watcher_the_same_history(
        tmp_path_factory, steps, durable, window):
    path = tmp_path_factory.mktemp("store") / "store.db" if durable else None
    saved = store_module.WINDOW, store_module.HOT
    store_module.WINDOW, store_module.HOT = window, 2
    store, truth, watches = Store(path), [], []
    try:
        for what, number in steps:
            if what == "watch":  # from any revision of the past
                after = truth[number * len(truth) // 5][2] if truth else 0
                watches.append((after, store.watch("pods", None, after), []))
            elif what == "poll" and watches:
                _, watch, events = watches[number % len(watches)]
                events.extend(watch.poll())
            elif what == "restart" and durable:
                for _, watch, events in watches:  # who reconnects goes on after its last revision
                    events.extend(watch.poll())
                store.close()
                store = Store(path)
                watches = [(after, store.watch("pods", None, events[-1].revision if events else after), events)
                           for after, watch, events in watches]
            else:
                apply_step(store, what, number, truth)
        assert store.flush()
        for after, watch, events in watches:
            events.extend(watch.poll())
            assert [(e.type, e.entry.key, e.revision, e.entry.data) for e in events] == [
                t for t in truth if t[2] > after]
            for event in events:  # what it was before is the state just before
                was = state_at(truth, event.revision - 1).get(event.entry.key)
                assert (event.previous.data if event.previous else None) == was
        for _, _, revision, _ in truth:
            assert {e.key: e.data for e in store.list_at("pods", None, revision)} == state_at(truth, revision)
        assert {e.key: e.data for e in store.list("pods")} == state_at(truth, store.revision)
    finally:
        store.close()
        store_module.WINDOW, store_module.HOT = saved


@pytest.mark.parametrize("durable", [True, False])
def test_history_that_was_dropped_is_refused_and_the_rest_is_whole(tmp_path, monkeypatch, durable):
    monkeypatch.setattr(store_module, "WINDOW", 5)
    store = Store(tmp_path / "store.db" if durable else None, history=20)
    store.create("pods", "default", "old", obj("old"))
    for i in range(60):
        store.create("pods", "default", f"p{i}", obj(f"p{i}"))
        if i % 2:
            store.delete("pods", "default", f"p{i}")
    assert store.flush()
    assert 0 < store.compacted <= store.revision - 20
    with pytest.raises(Compacted):
        store.watch("pods", None, store.compacted - 1)
    with pytest.raises(Compacted):
        store.list_at("pods", None, store.compacted - 1)
    assert len(store.watch("pods", None, store.compacted).poll()) == store.revision - store.compacted
    assert "old" in [e.key.name for e in store.list_at("pods", None, store.compacted)]
    revision, names = store.revision, [e.key.name for e in store.list("pods")]
    store.close()
    if durable:
        again = Store(tmp_path / "store.db")
        assert (again.revision, [e.key.name for e in again.list("pods")]) == (revision, names)
        rows = sqlite3.connect(tmp_path / "store.db").execute("SELECT count(*) FROM versions").fetchone()[0]
        assert rows < revision
        again.close()


def test_a_number_is_never_given_twice_even_when_the_last_change_was_a_deletion(tmp_path):
    store = Store(tmp_path / "store.db", history=1)
    for i in range(10):
        store.create("pods", "default", f"p{i}", obj(f"p{i}"))
        store.delete("pods", "default", f"p{i}")
    assert store.flush()
    store.close()
    again = Store(tmp_path / "store.db")
    assert again.revision == 20
    again.close()


def test_what_was_durable_is_there_after_kill_9(tmp_path):
    """A child writes and reports each durable revision until it is killed in the middle of it."""
    script = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from kitlib.store import Store
        store = Store(Path(sys.argv[1]))
        for i in range(100_000):
            store.create("pods", "default", f"p{i}", {"metadata": {"name": f"p{i}"}})
            if i % 7 == 0:
                assert store.flush()
            os.write(1, b"%d\\n" % store.durable_revision)
    """)
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "store.db")], stdout=subprocess.PIPE)
    acknowledged = 0
    for _ in range(300):
        acknowledged = int(child.stdout.readline())
    child.kill()
    child.wait()
    child.stdout.close()
    store = Store(tmp_path / "store.db")
    assert store.revision >= acknowledged > 100
    assert [store.get("pods", "default", f"p{i}") is None for i in range(acknowledged)] == [False] * acknowledged
    store.close()


@pytest.mark.parametrize("damage", ["garbage", "foreign", "future"])
def test_a_file_that_is_not_a_sound_store_is_named_in_one_sentence(tmp_path: Path, damage: str):
    path = tmp_path / "store.db"
    if damage == "garbage":
        path.write_bytes(b"not a database at all" * 500)
    else:
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE t (x)")
        if damage == "future":
            db.execute("PRAGMA application_id = 0x6B697400")
            db.execute("PRAGMA user_version = 99")
        db.commit()
        db.close()
    with pytest.raises(StoreCorrupt) as error:
        Store(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_disk_that_refuses_stops_new_writes_and_loses_nothing_when_it_has_room_again(tmp_path, monkeypatch):
    monkeypatch.setattr("kitlib.store.log.RETRY_SECONDS", 0.02)
    store = Store(tmp_path / "store.db")
    store.create("pods", "default", "before", obj("before"))
    assert store.flush()
    blocker = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    blocker.execute("CREATE TRIGGER full BEFORE INSERT ON versions BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    store.create("pods", "default", "held", obj("held"))
    assert not store.flush(timeout=0.3)
    assert "disk is full" in store.failure
    assert store.durable_revision == 1
    with pytest.raises(StoreFull):
        store.create("pods", "default", "refused", obj("refused"))
    blocker.execute("DROP TRIGGER full")
    assert store.flush()
    assert (store.failure, store.durable_revision) == (None, 2)
    blocker.close()
    store.close()
    again = Store(tmp_path / "store.db")
    assert [e.key.name for e in again.list("pods")] == ["before", "held"]
    again.close()
