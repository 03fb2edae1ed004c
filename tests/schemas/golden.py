"""The golden examples, as the files that they are."""

from pathlib import Path
from typing import Any

import orjson

import schemas

FOLDER = Path(schemas.__file__).parent / "golden"
GOLDEN: dict[str, bytes] = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.json"))}


def canonical(text: bytes | dict[str, Any]) -> bytes:
    fields = orjson.loads(text) if isinstance(text, bytes) else text
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
