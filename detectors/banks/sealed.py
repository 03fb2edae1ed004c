"""The envelope that every bank's snapshot travels in: whose it is, for which parameters, and whether it is whole."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from detectors.banks.contract import StateError

Parameters = dict[str, float | int | str | bool]

VERSION = 1  # of the envelope and of every payload in it; a change of either counts it up
_SUM_BYTES = 8  # a digest against damage, not against forgery: one flip in 2**64 goes unseen


class _Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    kind: str
    parameters: Parameters
    columns: int
    payload: bytes


class Opened(NamedTuple):
    columns: int
    payload: bytes


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(_Envelope)


def seal(kind: str, parameters: Mapping[str, float | int | str | bool], columns: int, payload: bytes) -> bytes:
    body = _ENCODER.encode(_Envelope(VERSION, kind, dict(parameters), columns, payload))
    return _digest(body) + body


def unseal(state: bytes, kind: str, parameters: Mapping[str, float | int | str | bool]) -> Opened:
    """What ``seal`` was given, or ``StateError`` saying why this bank cannot continue from it."""
    envelope = _whole(state)
    if envelope.version != VERSION:
        raise StateError(f"state of version {envelope.version}; this program reads version {VERSION}")
    if envelope.kind != kind:
        raise StateError(f"state of {envelope.kind!r}, not of {kind!r}")
    if envelope.parameters != parameters:
        raise StateError(f"{kind}: the state was taken with {envelope.parameters}, this bank runs with {parameters}")
    return Opened(envelope.columns, envelope.payload)


def _whole(state: bytes) -> _Envelope:
    if state[:_SUM_BYTES] != _digest(state[_SUM_BYTES:]):
        raise StateError("damaged state: its checksum does not fit")
    try:
        return _DECODER.decode(state[_SUM_BYTES:])
    except msgspec.MsgspecError as error:
        raise StateError(f"not a bank's state: {error}") from error


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SUM_BYTES).digest()
