"""The chain of an audit log: each entry holds the hash of the one before, so that none is changed or left out unseen.

The hash is SHA-256 over the entry's canonical JSON without the field ``hash``: names sorted, no white space, UTF-8.
"""

from hashlib import sha256

import orjson


def hash_of(entry: bytes) -> str:
    """In hex. Raises ``ValueError`` where it is no JSON object, or not in its canonical form: all of it must count."""
    fields = orjson.loads(entry)
    if not isinstance(fields, dict) or _canonical(fields) != entry:
        raise ValueError("it is not written as an entry is")
    fields.pop("hash", None)
    return sha256(_canonical(fields)).hexdigest()


def _canonical(fields: dict[str, object]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
