"""The signature of a control event: a header of its record that only who has the key could have written.

Its value is ``NAME:HEX``: the key's name, and HMAC-SHA256 over ``driftline-control-v1``, a newline, the record's key, a
newline, and the record's value, byte for byte.
"""

import hmac
from hashlib import sha256

HEADER = "driftline-signature"
_SCHEME = b"driftline-control-v1"  # a signature made for anything else never fits


def signature(name: str, secret: bytes, key: bytes, value: bytes) -> bytes:
    """The header's value."""
    signed = b"\n".join((_SCHEME, key, value))
    return f"{name}:{hmac.new(secret, signed, sha256).hexdigest()}".encode()
