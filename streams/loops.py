"""The detectors' loops as machine code: loaded, or compiled once on a machine, by two processes side by side.

Of processes that start at once one compiles, and the others wait for it and load. A lock beside the caches sees to
that: it goes with the processes that hold it, however they end, and what they have compiled by then stays.
"""

import fcntl
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Protocol

from detectors import loops
from detectors.banks.jit import NotCompiledError, only_loaded
from streams.cores import cores
from streams.terminal import complain

PROCESSES_MAX = 2  # each takes a quarter of a gigabyte; four would take two thirds of the time
LOCK = "driftline.lock"
WAITS_S_MAX = 300.0
LOOKS_EVERY_S = 0.1


class Say(Protocol):
    def __call__(self, text: str, /, **facts: float) -> object: ...


def on_terminal(text: str, /, **facts: float) -> None:
    complain(f"{text} in {facts['took_s']:.0f} s" if facts else text)


def load(say: Say = on_terminal, *, waits_quietly: bool = False) -> None:
    """Says so where they have to be compiled, and nothing otherwise.

    ``waits_quietly``: for one of several processes, of which the one that compiles says it.
    """
    if _loaded():
        return
    with ExitStack() as stack:
        lock = _lock(stack)
        if lock is not None and not _taken(lock):
            if not waits_quietly:
                say("another process compiles the detectors' loops for this machine: waiting for it")
            _wait_for(lock)
        if lock is not None and _loaded():  # another one has compiled them meanwhile
            return
        began = monotonic()
        kept = "once" if lock is not None else "at each start: NUMBA_CACHE_DIR names no folder that can be written"
        say(f"compiling the detectors' loops for this machine, {kept}; it takes up to a minute")
        if lock is not None and cores() > 1:
            _compile(lock, min(cores(), PROCESSES_MAX), stack)
        loops.warm_up()  # what has not been compiled now, whatever became of the others
        say("compiled the detectors' loops", took_s=round(monotonic() - began, 1))


def _loaded() -> bool:
    try:
        with only_loaded():
            loops.warm_up()
    except NotCompiledError:
        return False
    return True


def _lock(stack: ExitStack) -> IO[bytes] | None:
    """The file; none where caches are not kept, or not here."""
    folder = loops.folder()
    if folder is None:
        return None
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return stack.enter_context((Path(folder) / LOCK).open("ab"))
    except OSError:
        return None


def _taken(lock: IO[bytes]) -> bool:
    """At once. A file system without locks is as one where nobody else holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError)
    return True


def _wait_for(lock: IO[bytes]) -> None:
    """Not for ever, as who has it may have been stopped: then both compile, and what is kept is the same."""
    until = monotonic() + WAITS_S_MAX
    while not _taken(lock) and monotonic() < until:
        sleep(LOOKS_EVERY_S)


def _compile(lock: IO[bytes], processes: int, stack: ExitStack) -> None:
    """This process does its part. The others hold the lock too: it is not free while one of them lives."""
    others = []
    for number in range(1, processes):
        words = [sys.executable, "-P", "-m", "streams.loops", str(number), str(processes)]
        quiet = subprocess.DEVNULL  # what goes wrong there, goes wrong here as well
        with suppress(OSError):
            other = subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=quiet, pass_fds=(lock.fileno(),))  # noqa: S603 - our own
            stack.callback(_end, other)
            others.append(other)
    _compile_part(0, processes)
    for other in others:
        other.wait()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()  # does nothing where it has ended
    process.wait()


def _compile_part(number: int, of: int) -> None:
    for part in loops.PARTS[number::of]:
        part()


def main(words: list[str]) -> int:
    """All of them, as an image is built; or a part, for another process."""
    if words:
        _compile_part(*map(int, words))
    else:
        load()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
