import numpy as np
import pytest

from detectors.banks import registry
from detectors.config import Scalar

WRONG: list[tuple[str, dict[str, Scalar], str]] = [
    ("adwim", {}, "no detector 'adwim' (did you mean 'adwin'?); known: shiryaev_roberts, adwin, page_hinkley, ks"),
    ("kolmogorov", {}, "no detector 'kolmogorov'; known: "),
    ("adwin", {"delt": 0.1}, "adwin: no parameter 'delt' (did you mean 'delta'?); known: delta, clock, max_buckets"),
    ("adwin", {"delta": 0}, "adwin: delta = 0: it must be a number between 0 and 1, both excluded"),
    ("adwin", {"delta": float("nan")}, "adwin: delta = nan: it must be"),
    ("adwin", {"delta": True}, "adwin: delta = True: it must be"),
    ("adwin", {"clock": 0}, "adwin: clock = 0: it must be a whole number from 1 to 2147483647"),
    ("adwin", {"clock": 32.0}, "adwin: clock = 32.0: it must be a whole number"),
    ("adwin", {"max_buckets": 1}, "adwin: max_buckets = 1: it must be a whole number from 2 to 1000"),
    ("page_hinkley", {"mode": "sideways"}, "mode = 'sideways': it must be one of 'up', 'down', 'both'"),
    ("page_hinkley", {"alpha": 1.1}, "alpha = 1.1: it must be a number above 0, up to 1"),
    ("page_hinkley", {"threshold": "50"}, "threshold = '50': it must be a finite number, 0 or more"),
    (
        "page_hinkley",
        {"threshold": -1, "delta": float("inf")},
        "threshold = -1: it must be a finite number, 0 or more; ",
    ),
    ("hddm_a", {"two_sided_test": 1}, "two_sided_test = 1: it must be true or false"),
    ("eddm", {"alpha": 0.5}, "eddm: it does not run with {'alpha': 0.5}: 'alpha' must be greater or equal to 'beta'"),
    ("kswin", {"stat_size": 60}, "stat_size = 60: it must be at most half of window_size = 100"),
    ("river.drift.Adwin", {}, "no detector 'river.drift.Adwin'"),
    ("nowhere.Detector", {}, "no detector 'nowhere.Detector': No module named 'nowhere'"),
    ("..", {}, "no detector '..'"),
    ("river.stats.Mean", {}, "'river.stats.Mean' is no drift detector"),
    ("river.base.DriftDetector", {}, "is only the base of detectors"),
    ("river.drift.ADWIN", {"dleta": 1}, "no parameter 'dleta' (did you mean 'delta'?)"),
    ("tests.detectors.banks.test_plain.Unwritable", {}, "its state could not be kept over a restart: Unwritable.hook"),
]


@pytest.mark.parametrize(("name", "parameters", "said"), WRONG)
def test_says_what_is_wrong_and_what_would_be_right(name: str, parameters: dict[str, Scalar], said: str) -> None:
    wrong = registry.check(name, parameters)
    assert wrong is not None
    assert said in wrong
    with pytest.raises(ValueError, match=r".") as raised:
        registry.build(name, parameters)
    assert str(raised.value) == wrong


def test_says_every_mistake_at_once() -> None:
    assert registry.check("adwin", {"delta": 2, "clok": 1, "grace_period": -1}) == (
        "adwin: delta = 2: it must be a number between 0 and 1, both excluded; "
        "no parameter 'clok' (did you mean 'clock'?); "
        "known: delta, clock, max_buckets, min_window_length, grace_period; "
        "grace_period = -1: it must be a whole number from 0 to 2147483647"
    )


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_name_works_without_parameters(name: str) -> None:
    assert registry.check(name, {}) is None
    assert registry.build(name, {}).columns == 0
    assert registry.build(name, {}, 4).columns == 4


def test_a_whole_number_will_do_for_a_float() -> None:
    one, other = registry.build("page_hinkley", {"threshold": 50}, 1), registry.build("page_hinkley", {}, 1)
    one.restore(other.snapshot())
    assert one.snapshot() == other.snapshot()


def test_knows_which_detectors_take_errors_only() -> None:
    bits = {name for name in registry.NAMES if registry.accepts(name) is registry.Accepts.BITS}
    assert bits == {"ddm", "eddm", "hddm_a", "hddm_w"}
    assert registry.accepts("river.drift.binary.FHDDM") is registry.Accepts.BITS
    assert registry.accepts("river.drift.KSWIN") is registry.Accepts.NUMBERS


def test_chance_has_the_same_seed_in_every_process() -> None:
    draw = np.random.default_rng(0).normal(size=(300, 1))
    seeded = registry.build("kswin", {"window_size": 30, "stat_size": 10, "alpha": 0.2, "seed": 0}, 1)
    unseeded = registry.build("kswin", {"window_size": 30, "stat_size": 10, "alpha": 0.2}, 1)
    assert repr(seeded.update(draw)) == repr(unseeded.update(draw))


def test_warming_up_touches_no_bank_of_ours() -> None:
    bank = registry.build("adwin", {}, 1)
    before = bank.snapshot()
    registry.warm_up()
    assert bank.snapshot() == before
