"""Everything that would stop a worker later, told at once before anything runs."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage
from time import monotonic

from aiokafka import codec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

from schemas.times import duration_ms
from streams import grants
from streams.byte_sizes import byte_count, in_words
from streams.connection import Permissions, check_login
from streams.errors import DriftlineError, MistakesError
from streams.relations import S3
from streams.sections import KafkaSettings, Settings, StateSettings
from streams.topic_facts import Operation, group_operations
from streams.topics import admin_of, look, wrong

GROUP_WITHIN_S = 20.0  # a new cluster makes the topic of its groups when it is asked about the first one
GROUP_POLL_S = 0.2
_COORDINATOR_MOVES = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
_SAMPLE = b"compressed by some producer"


class PreflightError(MistakesError):
    """All that would stop a worker."""


def require(settings: Settings, permissions: Permissions = Permissions()) -> None:  # noqa: B008 - it refuses all
    """Raises ``DriftlineError`` where a worker should not start, before anything that takes long is done."""
    check_login(settings.kafka, permissions)
    asyncio.run(check(settings, permissions))


async def check(settings: Settings, permissions: Permissions = Permissions()) -> None:  # noqa: B008 - it refuses all
    """Raises ``PreflightError``. Nothing is made or changed."""
    problems = [*_codecs(), *_state(settings.state)]
    try:
        problems += await _brokers(settings, permissions)
    except DriftlineError as error:
        problems += error.lines
    if problems:
        raise PreflightError(problems)


def _codecs() -> Iterator[str]:
    """Producers choose how they compress, so a worker must be able to read all of them."""
    for name in ("gzip", "snappy", "lz4", "zstd"):
        encode, decode = getattr(codec, f"{name}_encode"), getattr(codec, f"{name}_decode")
        try:
            works = decode(encode(_SAMPLE)) == _SAMPLE
        except (OSError, RuntimeError):  # no library, or one that does not fit this machine
            works = False
        if not works:
            yield f"cannot read records that are compressed with {name}; install driftline anew, with all it depends on"


# The state's directory ------------------------------------------------------------------------------------------------


def _state(state: StateSettings) -> Iterator[str]:
    if state.memory:
        return
    yield from _writable("state.dir", state.dir)
    if state.checkpoints and not state.checkpoints.startswith(S3):
        yield from _writable("state.checkpoints", state.checkpoints)
    yield from _room(state)


def _writable(key: str, name: str) -> Iterator[str]:
    place = _existing(Path(name))
    if not place.is_dir():
        yield f"{key} = {name}: {place} is no directory"
    elif not os.access(place, os.W_OK | os.X_OK):
        yield f"{key} = {name}: this user may not write to {place}"


def _room(state: StateSettings) -> Iterator[str]:
    free = disk_usage(_existing(Path(state.dir))).free
    if free < byte_count(state.disk_free_min):
        yield (
            f"state.dir = {state.dir}: {in_words(free)} are free on its disk, less than state.disk_free_min, "
            f"{state.disk_free_min}; make room"
        )


def _existing(path: Path) -> Path:
    """The path itself, or what of it is there already."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


# What the brokers allow -----------------------------------------------------------------------------------------------


async def _brokers(settings: Settings, permissions: Permissions) -> list[str]:
    kafka = settings.kafka
    async with admin_of(kafka) as admin:
        seen = await look(admin, kafka)
        ticks = duration_ms(settings.worker.tick_interval) > 0
        return [
            *wrong(kafka, seen, permissions),
            *grants.missing(kafka, seen.allowed, ticks=ticks),
            *await _group(admin, kafka),
        ]


async def _group(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> list[str]:
    line = f"kafka.group = {kafka.group}: this user lacks Read on the consumer group; allow it"
    try:
        allowed = await _group_operations(admin, kafka.group)
    except GroupAuthorizationFailedError:
        return [line]
    return [line] if allowed is not None and Operation.READ not in allowed else []


async def _group_operations(admin: AIOKafkaAdminClient, group: str) -> frozenset[Operation] | None:
    until = monotonic() + GROUP_WITHIN_S
    while True:
        try:
            return await group_operations(admin._client, await admin.find_coordinator(group), group)
        except _COORDINATOR_MOVES:
            if monotonic() >= until:
                raise
        await asyncio.sleep(GROUP_POLL_S)
