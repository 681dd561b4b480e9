"""The history of a relay on disk: an SQLite database that survives `kill -9` and a loss of power. Blocks.

Theory of operation. A position that a client has been sent must mean the same event for ever. So events are committed
together with their offsets before anybody is sent them, each commit reaches the disk (`synchronous=FULL`), and when
anything suggests that commits are missing, the file is put aside and a new epoch begins. The write-ahead log counts as
a part of the history: `clean` in the database itself is 0 while a relay has it open, and a database that was not
closed and has no such log has lost the newest events.

A row keeps its id longer than its event. The source's list of events may reach further back than the history does, and
what is in it must still be known.
"""

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from iris_exporter.backend.objects import Event
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import get_logger
from iris_exporter.persistence.stream_locks import StreamLocks

FILE = "relay.db"
MAX_AGE_SECONDS = 7 * 86_400.0
"""Older events are forgotten, even where there is room."""
MORE_IDS = 10_000
"""Ids that are known beyond those of the events that are stored: ten times the longest list of a source."""
_APPLICATION = 0x49524953  # IRIS
_VERSION = 1
_LOCK = "/relay"
"""No stream has a name with a slash."""
# SQLITE_ERROR: a table or a column is missing.
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events ("offset" INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, body BLOB);
"""

_log = get_logger(__name__)
_decode_event = msgspec.json.Decoder(Event).decode


_Execute = Callable[..., sqlite3.Cursor]


class Row(NamedTuple):
    """An event with its offset and its JSON text, which is None once only the id is kept."""

    offset: int
    event_id: str
    body: bytes | None


class JournalError(OSError):
    """Events could not be written; whether they are there is not known until the next `record`."""


class _UnusableError(Exception):
    """Why a file is no history to go on with."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a journal has: the rows in order, and the source's position after the last one."""

    rows: list[Row]
    cursor: str | None


class Journal:
    """Events by offset, of one epoch. One thread at a time is let in, others wait."""

    def __init__(self, connection: sqlite3.Connection, locks: StreamLocks | None, capacity: int) -> None:
        """Use `open`."""
        self._connection = connection
        self._locks = locks
        self._capacity = capacity
        self._mutex = threading.Lock()
        self.epoch = self._meta("epoch") or ""
        self.first = 1
        """Offset of the oldest event that is kept."""

    @classmethod
    def open(cls, directory: Path | None, source: str, capacity: int) -> Self:
        """Open the history of a source in a directory, which is made when it is not there; None is memory alone.

        Args:
            directory: Belongs to one relay at a time.
            source: The address, as it may be shown; the history of another one is put aside.
            capacity: Most events that are kept.

        Raises:
            ConfigError: Another relay has the directory, or it cannot be written in.
        """
        if directory is None:
            return cls(_create(":memory:", source), None, capacity)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _no_directory(directory, error.strerror or type(error).__name__) from error
        locks = StreamLocks(directory)
        if not locks.acquire([_LOCK]):
            locks.close()
            raise _no_directory(directory, "another relay uses it")
        try:
            return cls(_open_or_create(directory / FILE, source), locks, capacity)
        except (sqlite3.Error, OSError) as error:
            locks.close()
            raise _no_directory(directory, str(error)) from error

    def load(self, now: float) -> Stored:
        """What is there at that time (Unix seconds). Raises JournalError."""
        return Stored(self.record(0, (), None, now), self._meta("cursor"))

    def _meta(self, key: str) -> str | None:
        found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def record(self, after: int, events: Sequence[tuple[str, bytes]], cursor: str | None, now: float) -> list[Row]:
        """Commit events (id and JSON text, oldest first) and the source's position after them.

        Those whose id is known are left out. Returns all rows after the offset `after`: also what an earlier call
        committed whose end nobody has seen.

        Raises:
            JournalError: The disk does not take it.
        """
        with self._mutex:
            try:
                with _transaction(self._connection) as execute:
                    last = execute('SELECT coalesce(max("offset"), 0) FROM events').fetchone()[0]
                    for event_id, body in events:
                        done = execute(
                            'INSERT OR IGNORE INTO events ("offset", id, at, body) VALUES (?, ?, ?, ?)',
                            (last + 1, event_id, now, body),
                        )
                        last += done.rowcount
                    if cursor is not None:
                        execute("INSERT OR REPLACE INTO meta VALUES ('cursor', ?)", (cursor,))
                    first = self._forget(execute, last, now)
                    found = execute('SELECT "offset", id, body FROM events WHERE "offset" > ? ORDER BY 1', (after,))
                    rows = [Row(*each) for each in found]
                self.first = first
            except sqlite3.Error as error:
                raise JournalError(f"{type(error).__name__}: {error}") from error
            return rows

    def _forget(self, execute: _Execute, last: int, now: float) -> int:
        """Forget what is too much or too old; returns the offset of the oldest event that stays."""
        (aged,) = execute(
            'SELECT coalesce(max("offset"), 0) FROM events WHERE "offset" >= ? AND at < ?',
            (self.first, now - MAX_AGE_SECONDS),
        ).fetchone()
        first: int = max(self.first, aged + 1, last - self._capacity + 1)
        execute('UPDATE events SET body = NULL WHERE "offset" >= ? AND "offset" < ?', (self.first, first))
        execute('DELETE FROM events WHERE "offset" <= ?', (last - self._capacity - MORE_IDS,))
        return first

    def close(self) -> None:
        """Leave the file as one that lacks nothing, and let another relay have it."""
        with self._mutex:
            try:
                with _transaction(self._connection) as execute:
                    execute("UPDATE meta SET value = '1' WHERE key = 'clean'")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                _log.warning("history.not_closed", error=error, detail="the next start may begin a new epoch")
        self._connection.close()
        if self._locks is not None:
            self._locks.close()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[_Execute]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.execute
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _no_directory(directory: Path, reason: str) -> ConfigError:
    expected = f"a directory that this relay alone can write in ({reason})"
    return ConfigError([Problem("start", "--state.dir", str(directory), expected)])


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _create(path: str, source: str) -> sqlite3.Connection:
    connection = _connect(path)
    connection.executescript(f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_VERSION}; {_SCHEMA}")
    values = {"epoch": secrets.token_hex(5), "source": source, "clean": "0"}
    with _transaction(connection) as execute:
        for item in values.items():
            execute("INSERT INTO meta VALUES (?, ?)", item)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return connection


def _open_or_create(path: Path, source: str) -> sqlite3.Connection:
    if not path.exists():
        _rename_unusable(path)
        return _create(str(path), source)
    has_log = _log_of(path).exists()
    connection = None
    try:
        connection = _connect(str(path))
        _check(connection, source, has_log=has_log)
    except (_UnusableError, sqlite3.DatabaseError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.DatabaseError) and _code(error) not in _BROKEN:
            raise
        detail = "clients are told that the history begins anew; the file is kept under another name"
        _log.warning("history.unusable", file=str(path), reason=str(error), detail=detail)
        _rename_unusable(path)
        return _create(str(path), source)
    with _transaction(connection) as execute:
        execute("UPDATE meta SET value = '0' WHERE key = 'clean'")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return connection


def _code(error: sqlite3.Error) -> int:
    """The primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _rename_unusable(path: Path) -> None:
    """Rename a database and what belongs to it; one that was put aside before is lost."""
    for each in (path, _log_of(path)):
        with suppress(FileNotFoundError):
            each.rename(each.with_name(each.name.replace(path.name, f"{path.name}.aside")))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def _check(connection: sqlite3.Connection, source: str, *, has_log: bool) -> None:
    """Raise `_UnusableError`, or an error of SQLite, unless the history can be gone on with."""

    def one(query: str) -> tuple[object, ...]:
        with closing(connection.execute(query)) as cursor:
            return tuple(cursor.fetchone())

    if (one("PRAGMA application_id"), one("PRAGMA user_version")) != ((_APPLICATION,), (_VERSION,)):
        raise _UnusableError("it is no history, or of another version")
    if one("PRAGMA quick_check(1)") != ("ok",):
        raise _UnusableError("it is damaged")
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    if not meta.get("epoch") or "source" not in meta:
        raise _UnusableError("it is incomplete")
    if meta["source"] != source:
        raise _UnusableError(f"it is the history of {meta['source']}")
    if meta.get("clean") != "1" and not has_log:
        raise _UnusableError("its write-ahead log is missing, and with it the newest events")
    events, first, last = one('SELECT count(*), min("offset"), max("offset") FROM events')
    whole, oldest, newest = one('SELECT count(*), min("offset"), max("offset") FROM events WHERE body IS NOT NULL')
    is_gapless = not events or last - first + 1 == events  # type: ignore[operator]
    is_recent = not whole or (newest == last and newest - oldest + 1 == whole)  # type: ignore[operator]
    if not (is_gapless and is_recent):
        raise _UnusableError("events are missing in it")
    try:
        for event_id, body in connection.execute("SELECT id, body FROM events WHERE body IS NOT NULL"):
            if _decode_event(body).id != event_id:
                raise _UnusableError("an event in it is not what its id says")
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise _UnusableError("an event in it cannot be read") from error
