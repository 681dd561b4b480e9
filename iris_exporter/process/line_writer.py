"""Lines to a file descriptor, written by a thread of its own: a reader that does not read delays nothing else.

Theory. A pipe holds 64 KiB. Once it is full, a write waits until the other side reads, which may be never, and an
event loop that waits there answers no probe, no scrape and no signal. So a line is put into a queue of bounded size
and written by a daemon thread, in order. What finds the queue full is dropped and counted, and the next line that gets
in is preceded by a notice that says how many are missing. At the end `flush` waits for a limited time.

The thread writes to the descriptor itself: one that waits inside a buffered file of Python holds that file's lock, and
the interpreter, which flushes all files when it ends, would wait for it. After a mistake of ours the thread goes on,
following a pause that grows: the lines it was about to write count as dropped.
"""

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MOST_BYTES = 1024 * 1024
"""Some thousand lines: a reader that pauses for a second or two misses nothing."""
BATCH_BYTES = 64 * 1024
"""Written in one go: what a pipe holds."""
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""After the first and at most after a later failure of the thread."""


class _Entry(NamedTuple):
    data: bytes
    missing: int = 0  # how many lines a notice says are missing; 0 for a line


class LineWriter:
    """Writes lines to `descriptor`. `notice(count)` makes the line that says that `count` lines are missing."""

    def __init__(self, descriptor: int, notice: Callable[[int], str], most_bytes: int = MOST_BYTES) -> None:
        self.descriptor = descriptor
        self.dropped = 0
        """Lines that could not be written, in all."""
        self.failures = 0
        """Exceptions that the thread has met; each went to `threading.excepthook`."""
        self._notice = notice
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._entries: deque[_Entry] = deque()
        self._size = 0
        self._missing = 0  # dropped since the last notice
        self._is_writing = False
        self._has_failed = False
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> bool:
        """Queue a line, with its line feed; False when there is no room. An empty queue has room for any line."""
        entry = _Entry(line.encode("utf-8", "backslashreplace"))
        with self._changed:
            if (self._entries and self._size + len(entry.data) > self._most_bytes) or not self._has_thread():
                self._lose(1)
                return False
            if self._missing:
                self._add_notice()
            self._add(entry)
            self._changed.notify_all()
            return True

    def flush(self, seconds: float) -> bool:
        """Wait until everything is written, but no longer than `seconds`; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._entries and not self._is_writing, seconds)

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=f"writer-{self.descriptor}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be had, or the interpreter is about to end
                return False
            self._thread = thread
        return True

    def _add(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._size += len(entry.data)

    def _add_notice(self) -> None:
        text, count = self._notice(self._missing), self._missing
        self._missing = 0
        if text:
            self._add(_Entry(text.encode("utf-8", "backslashreplace"), count))

    def _lose(self, lines: int, missing: int = 0) -> None:
        self.dropped += lines
        self._missing += lines + missing

    # The thread

    def _run(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            try:
                self._write_batch()
                pause = PAUSE_SECONDS
            except Exception:  # noqa: BLE001 (whatever it is, later lines have to be written)
                self.failures += 1
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _write_batch(self) -> None:
        batch = self._next()
        has_failed = True
        try:
            has_failed = not _write(self.descriptor, b"".join(entry.data for entry in batch))
        finally:
            with self._changed:
                self._has_failed = has_failed
                if has_failed:
                    self._lose(sum(not entry.missing for entry in batch), sum(entry.missing for entry in batch))

    def _next(self) -> list[_Entry]:
        with self._changed:
            self._is_writing = False
            # Where the last write failed, a notice would fail as well: it goes with the next line.
            if not self._entries and self._missing and not self._has_failed:
                self._add_notice()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._entries)
            self._is_writing = True
            batch: list[_Entry] = []
            size = 0
            while self._entries and (not batch or size + len(self._entries[0].data) <= BATCH_BYTES):
                entry = self._entries.popleft()
                batch.append(entry)
                size += len(entry.data)
            self._size -= size
            return batch


def _write(descriptor: int, data: bytes) -> bool:
    """Write everything, however long it takes; False when it cannot be written."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # somebody who shares the pipe has made it so
            poller = select.poll()
            poller.register(descriptor, select.POLLOUT)
            poller.poll()
        except OSError:
            return False
    return True
