"""A kept record: the version of its form, a checksum, and what it says."""

from zlib import crc32

from detectors.banks.contract import StateError, StateVersionError

VERSION = b"\x01"
_HEAD = 1 + 4
_SUM_OF_VERSION = crc32(VERSION)  # summed up too: a changed bit in it is damage and no other version


def seal(content: bytes) -> bytes:
    return VERSION + crc32(content, _SUM_OF_VERSION).to_bytes(4, "big") + content


def open_sealed(record: bytes) -> bytes:
    """The content; raises ``StateVersionError`` where another release wrote it, ``StateError`` where it is damaged."""
    content, version = record[_HEAD:], record[:1]
    if crc32(content, _SUM_OF_VERSION if version == VERSION else crc32(version)) != int.from_bytes(record[1:_HEAD]):
        raise StateError("a record does not match its checksum: it is damaged")
    if version != VERSION:
        raise StateVersionError(f"a record has version {version.hex()}, this is version {VERSION.hex()}")
    return content
