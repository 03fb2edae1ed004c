"""A kept record: the version of its form, a checksum, and what it says."""

from zlib import crc32

from detectors.banks.contract import StateError

VERSION = b"\x01"
_HEAD = 1 + 4


def seal(content: bytes) -> bytes:
    return VERSION + crc32(content).to_bytes(4, "big") + content


def open_sealed(record: bytes) -> bytes:
    """The content; raises ``StateError`` where it is damaged or of another version."""
    content = record[_HEAD:]
    if record[:1] != VERSION:
        raise StateError(f"a record has version {record[:1].hex() or 'none'}, this is version {VERSION.hex()}")
    if crc32(content) != int.from_bytes(record[1:_HEAD], "big"):
        raise StateError("a record does not match its checksum: it is damaged")
    return content
