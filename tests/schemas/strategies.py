"""Random good events as the plain JSON a producer would send, and random damage."""

import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from schemas.events import ControlAction
from schemas.times import TS_END

texts = st.text(max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = finite | st.integers(-(2**70), 2**70)
names = st.text(min_size=1, max_size=20)
probabilities = st.floats(0, 1)
ids = st.text(min_size=1, max_size=128)
models = st.text(string.ascii_letters + string.digits, min_size=1, max_size=1).flatmap(
    lambda first: st.text(string.ascii_letters + string.digits + "._-", max_size=63).map(lambda rest: first + rest)
)
scalars = numbers | texts | st.booleans()
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
datetimes = st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30), timezones=zones | st.just(UTC))  # noqa: DTZ001
times = st.integers(0, TS_END - 1) | datetimes.map(datetime.isoformat)

predictions = st.fixed_dictionaries(
    {
        "type": st.just("prediction"),
        "v": st.just(1),
        "id": ids,
        "model": models,
        "ts": times,
        "features": st.dictionaries(names, scalars | st.none(), max_size=8),
        "prediction": scalars,
    },
    optional={
        "version": texts | st.none(),
        "score": probabilities | st.none(),
        "scores": st.dictionaries(names, probabilities, max_size=4) | st.none(),
        "segments": st.dictionaries(names, texts, max_size=4) | st.none(),
        "latency_ms": numbers | st.none(),
        "cost": numbers | st.none(),
        "role": st.sampled_from(["champion", "challenger"]),
        "attributions": st.dictionaries(names, numbers, max_size=4) | st.none(),
        "trace": texts | st.none(),
    },
)
outcomes = st.fixed_dictionaries(
    {"type": st.just("outcome"), "v": st.just(1), "id": ids, "model": models, "ts": times, "label": scalars},
    optional={
        "revision": st.integers(0, 2**53 - 1),
        "weight": st.floats(0, allow_nan=False, allow_infinity=False),
        "provisional": st.booleans(),
    },
)
controls = st.fixed_dictionaries(
    {
        "type": st.just("control"),
        "v": st.just(1),
        "id": ids,
        "model": models,
        "ts": times,
        "action": st.sampled_from([str(action) for action in ControlAction]),
        "version": texts,
        "incident": texts,
        "verdict": st.sampled_from(["true_alarm", "false_alarm"]),
    },
    optional={"until": times | st.none(), "by": texts, "reason": texts, "partition": st.integers(0, 1_000)},
)
events: st.SearchStrategy[dict[str, Any]] = predictions | outcomes | controls

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
# What gnaws at parsers: half escapes, brackets, signs, bytes that are no UTF-8, numbers beyond bounds.
damage = st.binary(max_size=4) | st.sampled_from(
    [
        b"",
        b"\x00",
        b'"',
        b"\\",
        b"\\ud800",
        b"{",
        b"}",
        b"[" * 200,
        b",",
        b"-",
        b"e9",
        b"1e999",
        b"NaN",
        b"\xff",
        b"9" * 400,
    ]
)
