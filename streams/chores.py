"""The life of a process that does several things at once: until it is told to stop, or one of them fails."""

import asyncio
import signal
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

log = structlog.get_logger(__name__)

STOP_S = 25.0  # what is under way is waited for so long


async def until_told(chores: Iterable[Coroutine[Any, Any, None]]) -> None:
    """By SIGTERM or SIGINT. No chore ends by itself but by an error, which is raised."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    stop = asyncio.create_task(stopping.wait())
    tasks = [asyncio.create_task(chore) for chore in chores]
    try:
        await asyncio.wait((stop, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                await task
        log.info("stopped")
    finally:
        for each in (stop, *tasks):
            each.cancel()
        await asyncio.wait((stop, *tasks), timeout=STOP_S)
