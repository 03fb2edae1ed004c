"""The chain and the signature, computed here in the plainest way: as somebody would in another language."""

import hashlib
import hmac
import json

import pytest

from schemas.chain import hash_of
from schemas.signatures import signature
from tests.schemas.golden import GOLDEN, canonical

ENTRIES = [canonical(GOLDEN[name]) for name in ("audit", "audit-refused")]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entrys_hash_is_that_of_its_canonical_json_without_the_hash(entry: bytes) -> None:
    fields = json.loads(entry)
    said = fields.pop("hash")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hash_of(entry) == said == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("entry", [b"", b"[]", b"1", b"{", ENTRIES[0][:-1], ENTRIES[0] + b"\n", GOLDEN["audit"]])
def test_what_is_not_written_as_an_entry_has_no_hash(entry: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        hash_of(entry)


def test_a_field_that_is_named_twice_has_no_hash() -> None:
    """Readers differ in which of them they believe."""
    twice = ENTRIES[0].replace(b'"by":"ada@example.org"', b'"by":"eve@example.org","by":"ada@example.org"')
    with pytest.raises(ValueError, match="not written as an entry is"):
        hash_of(twice)


def test_a_signature_is_the_keys_name_and_a_hmac_over_scheme_key_and_value() -> None:
    key, value = b"churn", b'{"type":"control"}'
    expected = hmac.new(b"a secret", b"driftline-control-v1\nchurn\n" + value, hashlib.sha256).hexdigest()
    assert signature("ops", b"a secret", key, value) == b"ops:" + expected.encode()
