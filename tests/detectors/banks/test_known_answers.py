"""The rows at which River 0.26.1 reports on streams that other projects publish their answers for."""

from collections.abc import Callable, Mapping

import pytest

from detectors.banks import registry
from detectors.banks.shiryaev import WATCH
from detectors.config import Scalar
from tests.detectors.banks.streams import Stream, far_apart, there_and_back, two_error_rates, two_ranges

KSWIN = {"alpha": 1e-4, "window_size": 200, "stat_size": 100, "seed": 42}

OURS = {WATCH, "ks"}  # no River has them: what they promise is tested on its own

ANSWERS: list[tuple[Callable[[], Stream], str, Mapping[str, Scalar], list[int]]] = [
    (two_ranges, "adwin", {}, [1023]),
    (two_ranges, "adwin", {"clock": 1}, [1004]),
    (two_ranges, "page_hinkley", {}, [1020, 1397, 1548, 1988]),
    (two_ranges, "kswin", KSWIN, [1042]),
    (two_error_rates, "adwin", {}, [1055]),
    (two_error_rates, "page_hinkley", {}, [1081]),
    (two_error_rates, "ddm", {}, [1049]),
    (two_error_rates, "eddm", {}, [663, 828, 1007, 1078]),
    (two_error_rates, "hddm_a", {}, [1047]),
    (two_error_rates, "hddm_w", {}, [1018]),
    (there_and_back, "adwin", {}, [543, 1023, 1567]),
    (there_and_back, "ddm", {}, [542, 1619]),
    (there_and_back, "eddm", {}, [62, 393, 449, 504, 573, 1715, 1956]),
    (there_and_back, "hddm_a", {}, [531, 1554]),
    (there_and_back, "hddm_a", {"two_sided_test": True}, [531, 1015, 1545]),
    (there_and_back, "hddm_w", {}, [507, 1508]),
    (there_and_back, "hddm_w", {"two_sided_test": True}, [507, 1032, 1508]),
    (far_apart, "adwin", {}, [1023]),
    (far_apart, "adwin", {"delta": 0.001}, [1023]),
    (far_apart, "page_hinkley", {}, [1004, 1277, 1633]),
]


@pytest.mark.parametrize(("stream", "name", "parameters", "expected"), ANSWERS)
def test_reports_at_the_rows_where_river_reports(
    stream: Callable[[], Stream], name: str, parameters: Mapping[str, Scalar], expected: list[int]
) -> None:
    bank = registry.build(name, parameters, 1)
    assert [finding.row for finding in bank.update(stream()[:, None])] == expected


@pytest.mark.parametrize(
    ("name", "path"), [("adwin", "river.drift.ADWIN"), ("page_hinkley", "river.drift.PageHinkley")]
)
@pytest.mark.parametrize("stream", [two_ranges, two_error_rates, there_and_back, far_apart])
def test_the_compiled_bank_and_rivers_own_object_agree(name: str, path: str, stream: Callable[[], Stream]) -> None:
    compiled, rivers = registry.build(name, {}, 1), registry.build(path, {}, 1)
    values = stream()[:, None]
    assert [finding.row for finding in compiled.update(values)] == [finding.row for finding in rivers.update(values)]


def test_every_detector_of_rivers_has_an_answer() -> None:
    assert {name for _, name, _, _ in ANSWERS} == set(registry.NAMES) - OURS
