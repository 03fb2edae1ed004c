"""Our own commands, run in the process of the tests: what a process loads first takes longer than what most of them do.

That they end as processes do is tried where it matters, as in ``tests.streams.test_cli``.
"""

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

from load.site.site import Site, SiteError
from streams.cli import main


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def called(*words: str) -> Done:
    """In a thread of its own, for some commands run an event loop, and so do some tests."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), ThreadPoolExecutor(1) as thread:
        status = thread.submit(main, words).result()
    return Done(status, out.getvalue(), err.getvalue())


class NearSite(Site):
    """A site whose own commands are run in this process."""

    def command(self, *words: str) -> None:
        done = called(*words)
        if done.returncode != 0:
            raise SiteError(f"driftline {' '.join(words)}: {done.stderr}")
