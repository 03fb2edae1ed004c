"""What a command says, and the one place that reads the environment.

Results go to standard output, everything else to standard error.
"""

import getpass
import logging
import os
import sys
from collections.abc import Mapping

LIBRARIES = ("aiokafka", "faust", "mode", "asyncio")  # those that log what a user should not have to read


def environment() -> Mapping[str, str]:
    return os.environ


def user() -> str | None:
    """Who runs this, as the system calls them; ``None`` where it has no name for them, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    sys.stderr.write(text + "\n")


def quieten_libraries() -> None:
    """For commands that say themselves, in one line, what went wrong."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
