"""The durable log: every revision as one row in SQLite, committed in groups.

etcd keeps *versions*, not objects: (key, revision) → value, with tombstones for deletions, and a
compaction that drops what a newer version hides.  One table does the same here.  The current state
is simply the newest version of every key, so there is nothing that could disagree with the log.

    writer (event loop)          log thread                          disk
    ───────────────────          ──────────                          ────
    append(rev 7)  ──▶ pending
    append(rev 8)  ──▶ pending   take all pending ──▶ BEGIN; 7, 8; COMMIT ──▶ fsync
    append(rev 9)  ──▶ pending                    ◀── durable = 8

While one group is being synced the next one gathers: the busier the store, the bigger the groups.
This thread is the only one in kitlib's core; it sees bytes, never objects.

WAL with synchronous=FULL: a commit returns when the WAL is on disk (https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

APPLICATION_ID = 0x6B697400  # "kit\0": what `file store.db` and our own check look for
SCHEMA_VERSION = 1
TOMBSTONE = "DELETED"
RETRY_SECONDS = 1.0

SCHEMA = """
CREATE TABLE versions (
  revision INTEGER PRIMARY KEY, type TEXT NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL,
  name TEXT NOT NULL, created INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX by_key ON versions (resource, namespace, name, revision);
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO meta VALUES ('compacted', 0), ('revision', 0);
"""
COLUMNS = "revision, type, resource, namespace, name, created, data"


class Version(NamedTuple):
    """One row: an object as of `revision`; type ADDED, MODIFIED or DELETED (then data is its last state)."""

    revision: int
    type: str
    resource: str
    namespace: str
    name: str
    created: int
    data: bytes


class StoreCorrupt(Exception):
    """The file is not a store, or a damaged one.  The message says which file and what to do."""


class Log:
    """The versions on disk.  `append` returns at once; `durable` says how far the disk is.

    on_progress is called from the log's thread after each commit, and when `failure` (a sentence, or
    None) changes: hand it over to your own thread (`loop.call_soon_threadsafe`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _open(path)  # of the owner's thread; WAL lets it read while the writer writes
        meta = dict(self._reader.execute("SELECT key, value FROM meta"))
        self.compacted: int = meta["compacted"]
        newest = self._reader.execute("SELECT max(revision) FROM versions").fetchone()[0] or 0
        self.durable: int = max(newest, meta["revision"])
        self.failure: str | None = None
        self.on_progress: Callable[[], object] = lambda: None
        self._pending: list[Version] = []
        self._compact_to = 0
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="store-log", daemon=True)
        self._thread.start()

    # -- the writer's side -------------------------------------------------------------------------

    def append(self, version: Version) -> None:
        with self._wake:
            self._pending.append(version)
            if len(self._pending) == 1:
                self._wake.notify_all()

    def compact(self, revision: int) -> None:
        """Drop versions that a newer one at or before `revision` hides.  Happens with the next group."""
        with self._wake:
            self._compact_to = self.compacted = revision

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was appended is on disk; False if that does not happen in time."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._pending, timeout)

    def close(self) -> None:
        """Write what is pending, then let go of the file.  What a full disk refuses stays unacknowledged."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()
        self._reader.close()

    # -- reading -----------------------------------------------------------------------------------

    def current(self) -> Iterator[Version]:
        """The newest version of every key that is not a tombstone, in the order of their writing."""
        newest = "SELECT max(revision) FROM versions GROUP BY resource, namespace, name"
        query = f"SELECT {COLUMNS} FROM versions WHERE revision IN ({newest}) AND type != ? ORDER BY revision"
        return map(Version._make, self._reader.execute(query, (TOMBSTONE,)))

    def at(self, resource: str, namespace: str | None, revision: int) -> list[Version]:
        """A resource's objects as they were at a revision, sorted by namespace and name."""
        where, args = _where(resource, namespace)
        query = (f"SELECT max(revision), type, resource, namespace, name, created, data FROM versions "
                 f"WHERE {where} AND revision <= ? GROUP BY resource, namespace, name ORDER BY namespace, name")
        rows = map(Version._make, self._reader.execute(query, (*args, revision)))
        return [row for row in rows if row.type != TOMBSTONE]

    def between(self, resource: str, namespace: str | None, after: int, until: int) -> list[Version]:
        """The versions with after < revision <= until, oldest first."""
        where, args = _where(resource, namespace)
        query = f"SELECT {COLUMNS} FROM versions WHERE {where} AND revision > ? AND revision <= ? ORDER BY revision"
        return [Version._make(row) for row in self._reader.execute(query, (*args, after, until))]

    def before(self, version: Version) -> Version | None:
        """The version that this one replaced."""
        query = (f"SELECT {COLUMNS} FROM versions WHERE resource = ? AND namespace = ? AND name = ? AND revision < ? "
                 f"ORDER BY revision DESC LIMIT 1")
        row = self._reader.execute(query, (*version[2:5], version.revision)).fetchone()
        return Version._make(row) if row else None

    # -- the log's thread --------------------------------------------------------------------------

    def _run(self) -> None:
        writer = _open(self.path)
        try:
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._pending or self._closing)
                    group, compact_to = list(self._pending), self._compact_to
                if not group:
                    return
                failure = _commit(writer, group, compact_to)
                with self._wake:
                    changed, self.failure = failure != self.failure, failure
                    if failure is None:
                        del self._pending[:len(group)]
                        self.durable = group[-1].revision
                        if self._compact_to == compact_to:
                            self._compact_to = 0
                    self._wake.notify_all()
                if changed or failure is None:
                    self.on_progress()
                if failure is not None:
                    with self._wake:
                        if self._wake.wait_for(lambda: self._closing, RETRY_SECONDS):
                            return
        finally:
            writer.close()


def _where(resource: str, namespace: str | None) -> tuple[str, tuple[str, ...]]:
    if namespace is None:
        return "resource = ?", (resource,)
    return "resource = ? AND namespace = ?", (resource, namespace)


def _commit(writer: sqlite3.Connection, group: list[Version], compact_to: int) -> str | None:
    """Write one group in one transaction.  Returns what went wrong, in words, or None."""
    try:
        with writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.executemany("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)", group)
            if compact_to:
                _compact(writer, compact_to, group[-1].revision)
    except sqlite3.Error as error:
        return f"the cluster's store cannot be written: {error}"
    return None


def _compact(writer: sqlite3.Connection, revision: int, newest: int) -> None:
    # A tombstone hides everything before it and has nothing to show itself.  The revision is noted
    # since the newest version of all may be such a tombstone: numbers must never be given twice.
    writer.execute(
        "DELETE FROM versions WHERE revision <= ?1 AND (type = ?2 OR EXISTS (SELECT 1 FROM versions AS newer "
        "WHERE newer.resource = versions.resource AND newer.namespace = versions.namespace "
        "AND newer.name = versions.name AND newer.revision > versions.revision AND newer.revision <= ?1))",
        (revision, TOMBSTONE))
    writer.execute("UPDATE meta SET value = ? WHERE key = 'compacted'", (revision,))
    writer.execute("UPDATE meta SET value = ? WHERE key = 'revision'", (newest,))


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a sound store, made if there is none.  Raises StoreCorrupt, or OSError for the disk's own no."""
    remedy = f"Move {path} away (or `kit down --delete` the cluster) and start again"
    try:
        # isolation_level None: transactions are begun and ended by us, not guessed by the module.
        db = sqlite3.connect(path, isolation_level=None, timeout=5)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = -2000")
        found = db.execute("PRAGMA application_id").fetchone()[0]
        if found == 0 and not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            db.executescript(f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
                             f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif found != APPLICATION_ID:
            raise StoreCorrupt(f"{path} is a database, but not a cluster's store. {remedy}.")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise StoreCorrupt(f"{path} has format {version}, this kitlib reads {SCHEMA_VERSION}. {remedy}.")
        problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise StoreCorrupt(f"{path} is damaged ({problem}). {remedy}.")
    except sqlite3.OperationalError as error:
        raise OSError(f"cannot open the store {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(f"{path} is damaged ({error}). {remedy}.") from error
    return db
