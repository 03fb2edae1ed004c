"""Whose a snapshot is: a bank goes on only from the state of its own kind and parameters.

A snapshot begins with a digest of both. Its version and its checksum stand on the record that it is written in, once
for the snapshots of many banks.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from detectors.banks.contract import StateError

Parameters = dict[str, float | int | str | bool]

_NAME_BYTES = 8  # a digest against mistakes, not against forgery

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


def name_of(kind: str, parameters: Mapping[str, float | int | str | bool]) -> bytes:
    """What the snapshots of this kind of bank with these parameters begin with."""
    return hashlib.blake2b(_ENCODER.encode((kind, dict(parameters))), digest_size=_NAME_BYTES).digest()


def unseal(state: bytes, name: bytes, kind: str, parameters: Mapping[str, float | int | str | bool]) -> bytes:
    """What follows the name, or ``StateError`` saying why this bank cannot continue from it."""
    if state[:_NAME_BYTES] != name:
        raise StateError(
            f"a state of another detector than {kind!r}, or taken with other parameters than {dict(parameters)}"
        )
    return state[_NAME_BYTES:]
