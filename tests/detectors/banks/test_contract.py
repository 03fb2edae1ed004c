"""What every detector is held to, whichever it is."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pytest

from detectors.banks import registry
from detectors.banks.adwin import AdwinBank
from detectors.banks.contract import Bank, Finding, StateError
from detectors.banks.packed import pack
from detectors.config import Scalar
from tests.detectors.banks.streams import Stream, steps

COLUMNS = 3


class Subject(NamedTuple):
    name: str
    parameters: Mapping[str, Scalar]
    rows: int = 600
    long: int = 200_000  # rows after which it must not have grown

    def build(self, columns: int = COLUMNS) -> Bank:
        return registry.build(self.name, self.parameters, columns)

    def stream(self) -> Stream:
        return steps(self.rows, COLUMNS, 7, bits=registry.accepts(self.name) is registry.Accepts.BITS)


SUBJECTS = [
    Subject("adwin", {}),
    Subject("adwin", {"clock": 1, "max_buckets": 2, "delta": 0.5, "min_window_length": 1, "grace_period": 0}),
    Subject("page_hinkley", {}),
    Subject("page_hinkley", {"mode": "down", "alpha": 1.0, "min_instances": 1, "threshold": 5.0}),
    Subject("ddm", {}),
    Subject("eddm", {}),
    Subject("hddm_a", {"two_sided_test": True}),
    Subject("hddm_w", {"two_sided_test": True}),
    # 0.4 ms an update; and once its window is full it holds as much as it ever will
    Subject("kswin", {"window_size": 30, "stat_size": 10}, rows=180, long=1_000),
    Subject("river.drift.ADWIN", {}),
    Subject("river.drift.PageHinkley", {"mode": "up"}),
    Subject("river.drift.binary.FHDDM", {"short_window_size": 20}),
    Subject("river.drift.DummyDriftDetector", {"trigger_method": "random", "t_0": 50, "w": 20}),
    Subject("river.drift.NoDrift", {}),
]
ERROR_DETECTORS = [subject for subject in SUBJECTS if registry.accepts(subject.name) is registry.Accepts.BITS]
SILENT = {"river.drift.NoDrift"}  # a detector that never reports, by design


@pytest.fixture(params=SUBJECTS, ids=lambda subject: f"{subject.name}-{len(subject.parameters)}")
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found


def plain(findings: Iterable[Finding], first_row: int = 0) -> list[str]:
    """As text: equal where every digit is, and ``nan`` equals ``nan``."""
    return [repr(finding._replace(row=finding.row + first_row)) for finding in findings]


def in_pieces(bank: Bank, stream: Stream, rows: int) -> list[str]:
    return [
        line
        for start in range(0, len(stream), rows)
        for line in plain(bank.update(stream[start : start + rows]), start)
    ]


def test_the_stream_of_this_suite_makes_it_report(subject: Subject) -> None:
    found = subject.build().update(subject.stream())
    assert bool(found) is (subject.name not in SILENT)


def test_findings_come_by_row_then_column_and_know_how_much_they_rest_on(subject: Subject) -> None:
    found = subject.build().update(subject.stream())
    assert [(finding.row, finding.column) for finding in found] == sorted((f.row, f.column) for f in found)
    assert all(1 <= finding.n <= subject.rows and finding.since <= finding.n for finding in found)
    assert {type(value) for finding in found for value in finding} <= {int, float}


@pytest.mark.parametrize("rows", [1, 2, 31, 256])
def test_cutting_the_rows_changes_nothing(subject: Subject, rows: int) -> None:
    stream, whole, cut = subject.stream(), subject.build(), subject.build()
    assert in_pieces(cut, stream, rows) == plain(whole.update(stream))
    assert cut.snapshot() == whole.snapshot()


@pytest.mark.parametrize("row", [0, 1, 31, 32, 33, 65, 165, 333, -1, None])
def test_going_on_from_a_snapshot_is_going_on(subject: Subject, row: int | None) -> None:
    row = len(range(subject.rows)[:row])
    stream, straight, before, after = subject.stream(), subject.build(), subject.build(), subject.build(0)
    expected = plain(straight.update(stream))
    actual = plain(before.update(stream[:row]))
    after.restore(before.snapshot())
    assert after.columns == COLUMNS
    assert actual + plain(after.update(stream[row:]), row) == expected
    assert after.snapshot() == straight.snapshot()


def test_a_snapshot_of_the_restored_is_the_snapshot(subject: Subject) -> None:
    bank, other = subject.build(), subject.build(1)
    for start in range(0, subject.rows, 20):
        bank.update(subject.stream()[start : start + 20])
        other.restore(bank.snapshot())
        assert other.snapshot() == bank.snapshot()


def test_a_snapshot_stands_still_while_its_bank_goes_on(subject: Subject) -> None:
    stream, bank, other = subject.stream(), subject.build(), subject.build()
    half = subject.rows // 2
    bank.update(stream[:half])
    taken = bank.snapshot()
    other.restore(taken)
    bank.update(stream[half:])
    assert other.snapshot() == taken


def test_columns_do_not_know_of_one_another(subject: Subject) -> None:
    stream, together = subject.stream(), subject.build()
    alone = [
        finding._replace(column=column)
        for column in range(COLUMNS)
        for finding in subject.build(1).update(stream[:, column : column + 1])
    ]
    assert plain(together.update(stream)) == plain(sorted(alone, key=lambda finding: (finding.row, finding.column)))


def test_a_missing_value_leaves_its_column_untouched(subject: Subject) -> None:
    stream, with_gaps, without = subject.stream(), subject.build(1), subject.build(1)
    there = ~np.isnan(stream[:, 0])
    found = with_gaps.update(stream[:, :1])
    rows = np.cumsum(there) - 1
    assert plain(finding._replace(row=int(rows[finding.row])) for finding in found) == plain(
        without.update(stream[there, :1])
    )
    assert with_gaps.snapshot() == without.snapshot()


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 100, 179])
def test_an_infinity_is_refused_and_nothing_has_changed(subject: Subject, bad: float, row: int) -> None:
    stream, bank = subject.stream(), subject.build()
    bank.update(stream)
    before = bank.snapshot()
    stream[row, 1] = bad
    with pytest.raises(ValueError, match=f"row {row}, column 1 is infinite"):
        bank.update(stream)
    assert bank.snapshot() == before


@pytest.mark.parametrize("shape", [(4, COLUMNS - 1), (4, COLUMNS + 1), (COLUMNS,), (1, COLUMNS, 1)])
def test_a_matrix_of_another_shape_is_refused_and_nothing_has_changed(subject: Subject, shape: tuple[int, ...]) -> None:
    bank = subject.build()
    before = bank.snapshot()
    with pytest.raises(ValueError, match="a bank of 3 columns takes"):
        bank.update(np.zeros(shape))
    assert bank.snapshot() == before


def test_the_matrix_is_only_read(subject: Subject) -> None:
    stream = subject.stream()
    stream.setflags(write=False)
    assert plain(subject.build().update(stream)) == plain(subject.build().update(np.asfortranarray(stream)))


def test_its_state_is_bounded(subject: Subject) -> None:
    """Nothing changes in this stream, so nothing is ever forgotten."""
    draw = np.random.default_rng(3)
    bank = subject.build(1)
    bank.update((draw.random((subject.long // 20, 1)) < 0.5).astype(float))
    early = len(bank.snapshot())
    bank.update((draw.random((subject.long, 1)) < 0.5).astype(float))
    assert len(bank.snapshot()) < early + 1_000  # ADWIN: a row of buckets for each doubling; the rest: longer integers


def test_the_same_rows_give_the_same_bytes(subject: Subject) -> None:
    one, other = subject.build(), subject.build()
    assert plain(one.update(subject.stream())) == plain(other.update(subject.stream()))
    assert one.snapshot() == other.snapshot()


def test_bytes_that_do_not_come_out_even_are_refused_and_nothing_has_changed(subject: Subject) -> None:
    bank, other = subject.build(), subject.build()
    bank.update(subject.stream())
    good, before = bank.snapshot(), other.snapshot()
    for bad in [b"", good[:7], good[:8], good[:12], good[: len(good) // 2], good[:-1], good + b"\0"]:
        with pytest.raises(StateError):
            other.restore(bad)
    assert other.snapshot() == before


@pytest.mark.parametrize("name", ["adwin", "page_hinkley"])
@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_lets_machine_code_run_astray(name: str, bit: int) -> None:
    """A checksum keeps them away. Should one come through, it is refused or is some state or other: never worse."""
    bank = registry.build(name, {}, COLUMNS)
    bank.update(steps(600, COLUMNS, 7, bits=False))
    good = bank.snapshot()
    for at in range(8, len(good)):
        other = registry.build(name, {})
        try:
            other.restore(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
        except StateError:
            continue
        again = registry.build(name, {})
        again.restore(other.snapshot())
        assert again.snapshot() == other.snapshot()
        assert other.columns < len(good)


def test_the_state_of_another_detector_is_refused(subject: Subject) -> None:
    bank = subject.build()
    for foreign in SUBJECTS:
        if foreign.name != subject.name:
            with pytest.raises(StateError, match="a state of another detector than"):
                bank.restore(foreign.build().snapshot())


def test_the_state_of_other_parameters_is_refused() -> None:
    for one, other in [(SUBJECTS[0], SUBJECTS[1]), (SUBJECTS[2], SUBJECTS[3])]:
        with pytest.raises(StateError, match="taken with other parameters than"):
            one.build().restore(other.build().snapshot())
    with pytest.raises(StateError, match="'seed': 2"):
        registry.build("kswin", {"seed": 2}).restore(registry.build("kswin", {"seed": 1}).snapshot())


def test_no_rows_and_no_columns_are_nothing_to_do(subject: Subject) -> None:
    bank, empty = subject.build(), subject.build(0)
    bank.update(subject.stream())
    before = bank.snapshot()
    assert bank.update(np.empty((0, COLUMNS))) == []
    assert bank.snapshot() == before
    assert empty.update(np.empty((5, 0))) == []
    empty.restore(empty.snapshot())
    assert empty.columns == 0


def test_columns_added_in_mid_stream_are_fresh_and_disturb_nobody(subject: Subject) -> None:
    stream, bank = subject.stream(), subject.build(2)
    half = subject.rows // 2
    first = plain(bank.update(stream[:half, :2]))
    bank.grow(3)
    bank.grow(3)
    bank.grow(1)  # fewer than there are: they are there already
    assert bank.columns == 3
    rest = bank.update(stream[half:])
    expected = [f for f in subject.build(2).update(stream[:, :2]) if f.row >= half]
    assert plain((f for f in rest if f.column < 2), half) == plain(expected)
    assert plain(f for f in rest if f.column == 2) == plain(
        f._replace(column=2) for f in subject.build(1).update(stream[half:, 2:])
    )
    assert first == plain(f for f in subject.build(2).update(stream[:, :2]) if f.row < half)


def test_a_reset_column_has_seen_nothing_and_the_others_all(subject: Subject) -> None:
    stream, bank, untouched = subject.stream(), subject.build(), subject.build()
    half = subject.rows // 2
    bank.update(stream[:half])
    untouched.update(stream[:half])
    bank.reset(1)
    rest, expected = bank.update(stream[half:]), untouched.update(stream[half:])
    assert plain(f for f in rest if f.column != 1) == plain(f for f in expected if f.column != 1)
    assert plain(f for f in rest if f.column == 1) == plain(
        f._replace(column=1) for f in subject.build(1).update(stream[half:, 1:2])
    )


@pytest.mark.parametrize("column", [-1, COLUMNS])
def test_there_is_no_other_column_to_reset(subject: Subject, column: int) -> None:
    with pytest.raises(IndexError, match=f"column {column} of a bank of 3"):
        subject.build().reset(column)


@pytest.mark.parametrize("subject", ERROR_DETECTORS, ids=lambda subject: subject.name)
def test_a_detector_of_errors_refuses_anything_but_0_and_1(subject: Subject) -> None:
    bank, stream = subject.build(), subject.stream()
    before = bank.snapshot()
    stream[4, 2] = 0.5
    with pytest.raises(ValueError, match=r"row 4, column 2 is 0.5: \w+ takes 0 and 1 only"):
        bank.update(stream)
    assert bank.snapshot() == before


FORGED_ADWINS = [  # columns and rows of buckets; of each column width, total, variance; buckets a row; their totals
    [1, 1, 6, 0, 0, 6, *[0] * 6],  # one bucket more than the row has room for
    [1, 1, 3, 0, 0, 2, 0, 0],  # fewer values than the width says
    [1, 1, 0, 0, 0, -1],
    [1, 1, 0.5, 0, 0, 0.5],
    [1, 1, np.nan, 0, 0, np.nan],
    [1, -1, 0, 0, 0],
    [1, 2**31 - 1, 0, 0, 0],
    [1, np.inf, 0, 0, 0],
    [-1, 1, 0, 0, 0, 0],
    [2**40, 0, 0, 0, 0],
    [np.nan, 0, 0, 0, 0],
    [2, 0, 0, 0, 0],
    [1, 1, 1, 0, 0, 1, 0, 7],
    [1, 1, 1, 0, 0, 1],
    [1],
    [],
]


def forged(*numbers: float) -> bytes:
    """Rightly packed, and named as an ADWIN's."""
    return AdwinBank().snapshot()[:8] + pack(np.array(numbers, dtype=np.float64))


@pytest.mark.parametrize("numbers", FORGED_ADWINS)
def test_no_odd_count_of_buckets_reaches_machine_code(numbers: list[float]) -> None:
    bank = AdwinBank(1)
    with pytest.raises(StateError):
        bank.restore(forged(*numbers))
    assert bank.snapshot() == AdwinBank(1).snapshot()


def test_a_forged_state_that_adds_up_is_a_state() -> None:
    bank = AdwinBank(1)
    bank.restore(forged(1, 1, 1, 4, 0, 1, 4))
    assert bank.window(0) == (1.0, 4.0, 0.0)


def test_a_fresh_one_of_the_same_setting_has_seen_nothing_and_stands_alone(subject: Subject) -> None:
    bank = subject.build()
    bank.update(subject.stream())
    before, other = bank.snapshot(), bank.fresh(COLUMNS)
    assert other.snapshot() == subject.build().snapshot()
    assert plain(other.update(subject.stream())) == plain(subject.build().update(subject.stream()))
    assert bank.snapshot() == before


def test_one_and_true_are_not_the_same_parameter() -> None:
    assert registry.build("page_hinkley", {"min_instances": 1}).columns == 0
    with pytest.raises(ValueError, match="min_instances"):
        registry.build("page_hinkley", {"min_instances": True})
