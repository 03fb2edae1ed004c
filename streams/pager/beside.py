"""A pager beside a worker: a process of its own, so that no endpoint slows detection, and nothing else to start.

It is started again whenever it ends, with a pause that grows. It ends with the worker, however that ends: its standard
input is a pipe that nobody writes to, and whose other end goes with the worker.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic

import structlog

log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 1.0
PAUSE_MAX_S = 60.0  # what keeps it from starting is mended by a person, who should not have to wait for long
WELL_AFTER_S = 60.0  # one that lived so long had nothing wrong with it from the start
STOP_S = 5.0  # of the 25 that a worker has; a pager that is killed loses nothing


def command(config: Path | None) -> Sequence[str]:
    """The same program and the same settings; the environment comes by itself."""
    words = [sys.executable, "-P", "-m", "streams.cli", "pager", "run", "--with-worker"]
    return words if config is None else [*words, "--config", str(config)]


@contextmanager
def pager_beside(words: Sequence[str], started: Callable[[], None]) -> Iterator[None]:
    """Runs it for as long as the block does."""
    keeper = Keeper(words, started)
    keeper.start()
    try:
        yield
    finally:
        keeper.end()


class Keeper:
    """Keeps a command running, from a thread: also while the worker's event loop is busy."""

    def __init__(self, words: Sequence[str], started: Callable[[], None], first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._words, self._started = words, started
        self._first_pause_s = first_pause_s
        self._stop = Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._changing = Lock()  # whether it is to run, and what runs
        self._thread = Thread(target=self._keep, name="pager", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Asks it to end, and ends it where it does not."""
        with self._changing:
            self._stop.set()
            process = self._process
        if process is not None:
            process.terminate()
            self._thread.join(STOP_S)
            process.kill()  # does nothing where it has ended
        self._thread.join()

    def _keep(self) -> None:
        pause_s = self._first_pause_s
        while True:
            began = monotonic()
            status = self._life()
            if self._stop.is_set():
                return
            pause_s = self._first_pause_s if monotonic() - began > WELL_AFTER_S else pause_s
            log.error("the pager beside this worker ended and is started again", status=status, pause_s=pause_s)
            self._stop.wait(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _life(self) -> int | str:
        """Returns how it ended."""
        with self._changing:
            if self._stop.is_set():
                return 0
            try:
                # A session of its own: the Ctrl-C that is meant for the worker would be an end that nobody asked for.
                process = subprocess.Popen(self._words, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
            except OSError as error:
                return error.strerror or type(error).__name__
            self._process = process
        self._started()
        log.info("a pager was started beside this worker", pid=process.pid)
        with process:
            return process.wait()


def end_with_standard_input() -> None:
    """For the pager's side: as if told to stop, once whoever started it is gone."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, name="worker", daemon=True).start()
