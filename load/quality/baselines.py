"""Baselines of few rows: how often what they are wrong by is taken for a change, though nothing has changed."""

from typing import Any

import numpy as np

from detectors.banks.shiryaev import HEAD_SHARE, ShiryaevBank
from load.output import say
from load.quality.watching import Stream

COLUMNS = 1_000
WATCHED = 4_000  # rows after the baseline
ASKED = 13_000_000  # rows for each false alarm: one a month, at five predictions a second
BASELINES = (30, 100, 250, 500, 1_000)
KINDS = ("normal", "lognormal", "errors_0.02", "errors_0.1", "errors_0.3")
CHUNK = 500


def short_baselines(seed: int) -> dict[str, Any]:
    """Columns of a thousand that alarm, by how many rows taught them; and how many the budget allows."""
    found: dict[str, Any] = {"allowed": round(COLUMNS * (WATCHED / ASKED + HEAD_SHARE), 1)}
    for kind in KINDS:
        found[kind] = {}
        for rows in BASELINES:
            draw = np.random.default_rng([seed, KINDS.index(kind), rows])
            bank = ShiryaevBank(COLUMNS, bits=kind.startswith("errors"), rows=rows)
            bank.allow_all(ASKED, HEAD_SHARE * ASKED, sided=False)
            chunks = -(-(rows + WATCHED) // CHUNK)
            found[kind][str(rows)] = sum(len(bank.update(_values(draw, kind))) for _ in range(chunks))
        say(f"short baselines: {kind}: {found[kind]} of {COLUMNS:,}, allowed {found['allowed']}")
    return found


def _values(draw: np.random.Generator, kind: str) -> Stream:
    if kind.startswith("errors"):
        return (draw.random((CHUNK, COLUMNS)) < float(kind.partition("_")[2])).astype(float)
    values = draw.standard_normal((CHUNK, COLUMNS))
    return np.exp(values) if kind == "lognormal" else values
