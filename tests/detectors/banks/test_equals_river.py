"""ADWIN and Page-Hinkley against River's objects, update for update, on streams made to be nasty."""

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from river import drift

from detectors.banks.adwin import AdwinBank
from detectors.banks.contract import Bank
from detectors.banks.page_hinkley import PageHinkleyBank
from tests.detectors.banks.streams import Stream, odd_streams

ADWINS = st.fixed_dictionaries(
    {
        "delta": st.floats(1e-300, 0.999) | st.sampled_from([0.002, 0.05, 0.9]),
        "clock": st.integers(1, 64),
        "max_buckets": st.integers(2, 9),
        "min_window_length": st.integers(1, 30),
        "grace_period": st.integers(0, 100),
    }
)
# A negative delta makes no sense and the registry refuses it; here it shows what River's odd first maximum does.
PAGE_HINKLEYS = st.fixed_dictionaries(
    {
        "min_instances": st.integers(1, 60),
        "delta": st.sampled_from([0.0, 0.005, -0.5, -1.5, -40.0]) | st.floats(0, 10),
        "threshold": st.sampled_from([0.0, 1.0, 50.0]) | st.floats(0, 1e6),
        "alpha": st.sampled_from([1.0, 0.9999, 0.5, 1e-9]),
        "mode": st.sampled_from(["up", "down", "both"]),
    }
)
CUTS = st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=8)


def rivers_reports(detector: Any, stream: Stream) -> list[int]:
    reports = []
    for row, value in enumerate(stream.tolist()):
        detector.update(value)
        if detector.drift_detected:
            reports.append(row)
    return reports


def reports_in_pieces(bank: Bank, fresh: Bank, stream: Stream, cuts: list[tuple[int, bool]]) -> tuple[list[int], Bank]:
    """Cuts anywhere, and at some of them a change to another bank by way of a snapshot."""
    reports, start = [], 0
    for rows, by_snapshot in [*cuts, (len(stream), False)]:
        piece = stream[start : start + rows, None]
        reports += [start + finding.row for finding in bank.update(piece)]
        start += len(piece)
        if by_snapshot:
            fresh.restore(bank.snapshot())
            bank, fresh = fresh, bank
    return reports, bank


@settings(max_examples=300)
@given(stream=odd_streams(), parameters=ADWINS, cuts=CUTS)
@example(stream=np.zeros(3), parameters={"clock": 1, "grace_period": 0, "min_window_length": 1}, cuts=[])
def test_adwin_decides_as_rivers(stream: Stream, parameters: dict[str, Any], cuts: list[tuple[int, bool]]) -> None:
    rivers = drift.ADWIN(**parameters)
    expected = rivers_reports(rivers, stream)
    actual, bank = reports_in_pieces(AdwinBank(1, **parameters), AdwinBank(**parameters), stream, cuts)
    assert actual == expected
    assert isinstance(bank, AdwinBank)
    if not rivers.drift_detected:  # a report leaves River's window as it was; ours is empty at once
        assert repr(bank.window(0)) == repr((float(rivers.width), rivers.total, rivers.variance))


@settings(max_examples=300)
@given(stream=odd_streams(), parameters=PAGE_HINKLEYS, cuts=CUTS)
def test_page_hinkley_decides_as_rivers(
    stream: Stream, parameters: dict[str, Any], cuts: list[tuple[int, bool]]
) -> None:
    rivers = drift.PageHinkley(**parameters)
    expected = rivers_reports(rivers, stream)
    actual, bank = reports_in_pieces(PageHinkleyBank(1, **parameters), PageHinkleyBank(**parameters), stream, cuts)
    assert actual == expected
    assert isinstance(bank, PageHinkleyBank)
    if not rivers.drift_detected:
        mean, rise, fall = rivers._x_mean, rivers._sum_increase, rivers._sum_decrease
        state = (mean.n, mean.get(), rise, rivers._min_increase, fall, float(rivers._max_decrease))
        assert repr(bank.sums(0)) == repr(state)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), clock=st.sampled_from([1, 32]), step=st.sampled_from([0.05, 0.3, 2.0]))
def test_adwin_decides_as_rivers_over_long_windows(seed: int, clock: int, step: float) -> None:
    draw = np.random.default_rng(seed)
    stream = draw.normal(size=6_000) + step * (np.arange(6_000) > 4_500)
    bank = AdwinBank(1, clock=clock)
    expected = rivers_reports(drift.ADWIN(clock=clock), stream)
    assert [finding.row for finding in bank.update(stream[:, None])] == expected


@settings(max_examples=30)
@given(streams=st.lists(odd_streams(), min_size=2, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_columns_of_one_bank_decide_as_detectors_of_their_own(streams: list[Stream], seed: int) -> None:
    """Columns of different length: each is spread over the rows at random, the rest of it is missing."""
    draw = np.random.default_rng(seed)
    rows = max(map(len, streams))
    matrix = np.full((rows, len(streams)), np.nan)
    for column, stream in enumerate(streams):
        matrix[np.sort(draw.permutation(rows)[: len(stream)]), column] = stream
    adwin = AdwinBank(len(streams), clock=8).update(matrix)
    page_hinkley = PageHinkleyBank(len(streams)).update(matrix)
    for column in range(len(streams)):
        there = np.flatnonzero(~np.isnan(matrix[:, column]))
        own = matrix[there, column]
        assert [f.row for f in adwin if f.column == column] == list(there[rivers_reports(drift.ADWIN(clock=8), own)])
        assert [f.row for f in page_hinkley if f.column == column] == list(
            there[rivers_reports(drift.PageHinkley(), own)]
        )


def edge(detector: type, parameters: dict[str, Any], noise: Stream) -> float:
    """The step, to the last bit, at which River begins to report: there rounding decides."""
    silent, reporting = 0.0, 1e6
    while True:
        middle = silent + (reporting - silent) / 2
        if middle in (silent, reporting):
            return reporting
        if rivers_reports(detector(**parameters), stepped(noise, middle)):
            reporting = middle
        else:
            silent = middle


def stepped(noise: Stream, step: float) -> Stream:
    return np.concatenate((noise, noise[: len(noise) // 2] + step))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(20, 120),
    window=st.integers(1, 8),
    delta=st.sampled_from([1e-6, 0.002, 0.03]),
)
def test_adwin_decides_as_rivers_on_the_edge(seed: int, rows: int, window: int, delta: float) -> None:
    noise = np.random.default_rng(seed).normal(size=rows) * 0.05
    parameters: dict[str, Any] = {"clock": 1, "min_window_length": window, "delta": delta}
    step = edge(drift.ADWIN, parameters, noise)
    for _ in range(12):
        stream = stepped(noise, step)
        actual = [finding.row for finding in AdwinBank(1, **parameters).update(stream[:, None])]
        assert actual == rivers_reports(drift.ADWIN(**parameters), stream)
        step = float(np.nextafter(step, 0.0))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(40, 120), threshold=st.floats(1.0, 60.0))
def test_page_hinkley_decides_as_rivers_on_the_edge(seed: int, rows: int, threshold: float) -> None:
    noise = np.random.default_rng(seed).normal(size=rows) * 0.05
    parameters: dict[str, Any] = {"threshold": threshold}
    step = edge(drift.PageHinkley, parameters, noise)
    for _ in range(12):
        stream = stepped(noise, step)
        actual = [finding.row for finding in PageHinkleyBank(1, **parameters).update(stream[:, None])]
        assert actual == rivers_reports(drift.PageHinkley(**parameters), stream)
        step = float(np.nextafter(step, 0.0))
