"""The trial of a new version: how often it is wrong, how many labels it needs, and what it compares."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from detectors.cure import LOOKS, REST, WRONG, Answer, Moments, Shown, Trial, Unit

SHARE = Unit(rate=True, spread=0.3, floor=0.03, cut=1.0)
TRIALS = 1_000
USUAL_LABELS, OLD_LABELS = 1_000, 400

Draw = Callable[[np.random.Generator, float, int], np.ndarray]


class Kind(NamedTuple):
    """Of a loss whose mean is usually 1, or a share."""

    draw: Draw
    unit: Callable[[np.ndarray], Unit]


def of_number(draw: Draw) -> Kind:
    def unit(usual: np.ndarray) -> Unit:
        spread = float(usual.std(ddof=1))
        return Unit(False, spread, 0.25 * spread, float(usual.mean()) + 12 * spread)

    return Kind(draw, unit)


ERRORS = Kind(lambda draw, mean, n: (draw.random(n) < mean).astype(float), lambda _usual: SHARE)
ABSOLUTE = of_number(lambda draw, mean, n: mean * np.abs(draw.normal(size=n)) / 0.79788)
SQUARED = of_number(lambda draw, mean, n: mean * draw.normal(size=n) ** 2)


def of(losses: np.ndarray) -> Moments:
    return Moments(len(losses), float(losses.sum()), float((losses**2).sum()))


def tried(kind: Kind, usual: float, old: float, new: float, draw: np.random.Generator) -> tuple[Shown, int]:
    """Label by label it would be looked at as often, and say the same."""
    taught = kind.draw(draw, usual, USUAL_LABELS)
    unit = kind.unit(taught)
    trial = Trial(unit, {REST: of(taught)}, {REST: of(np.minimum(kind.draw(draw, old, OLD_LABELS), unit.cut))})
    losses = np.minimum(kind.draw(draw, new, LOOKS[-1]), unit.cut)
    before = 0
    for look in LOOKS:
        trial.new.setdefault(REST, Moments()).take(of(losses[before:look]))
        before = look
        assert trial.due
        shown = trial.judge()
        if shown.answer is not None:
            return shown, look
    raise AssertionError("the last look decides")


def rates(kind: Kind, usual: float, old: float, new: float) -> tuple[dict[Answer, float], int]:
    """How often each answer is given, and the labels that it takes in the median."""
    draw = np.random.default_rng(7)
    told = [tried(kind, usual, old, new, draw) for _ in range(TRIALS)]
    answers = Counter(shown.answer for shown, _ in told)
    shares = {answer: answers[answer] / TRIALS for answer in Answer}
    return shares, int(np.median([labels for _, labels in told]))


KINDS = [
    pytest.param(ERRORS, 0.1, 0.35, id="errors 10 to 35 %"),
    pytest.param(ERRORS, 0.1, 0.2, id="errors 10 to 20 %"),
    pytest.param(ERRORS, 0.02, 0.08, id="errors 2 to 8 %"),
    pytest.param(ERRORS, 0.1, 0.15, id="errors 10 to 15 %"),
    pytest.param(ABSOLUTE, 1.0, 2.0, id="absolute, doubled"),
    pytest.param(ABSOLUTE, 1.0, 1.5, id="absolute, half as much again"),
    pytest.param(SQUARED, 1.0, 3.0, id="squared, three times"),
]


@pytest.mark.parametrize(("kind", "usual", "old"), KINDS)
def test_a_wrong_answer_is_as_rare_as_it_says(kind: Kind, usual: float, old: float) -> None:
    """Twice as often would be a coincidence of one in a thousand."""
    as_usual, _ = rates(kind, usual, old, usual)
    as_bad, _ = rates(kind, usual, old, old)
    assert as_usual[Answer.NOT_CURED] + as_usual[Answer.WORSE] <= 2 * WRONG
    assert as_bad[Answer.CURED] <= 2 * WRONG
    assert as_bad[Answer.WORSE] <= 2 * WRONG


@pytest.mark.parametrize(
    ("kind", "usual", "old", "new", "answer", "labels"),
    [
        (ERRORS, 0.1, 0.35, 0.1, Answer.CURED, 64),
        (ERRORS, 0.1, 0.35, 0.35, Answer.NOT_CURED, 512),
        (ERRORS, 0.1, 0.35, 0.6, Answer.WORSE, 64),
        (ERRORS, 0.1, 0.2, 0.1, Answer.CURED, 1_024),
        (ABSOLUTE, 1.0, 2.0, 1.0, Answer.CURED, 64),
        (ABSOLUTE, 1.0, 2.0, 3.0, Answer.WORSE, 64),
        (SQUARED, 1.0, 3.0, 1.0, Answer.CURED, 64),
        (SQUARED, 1.0, 3.0, 5.0, Answer.WORSE, 128),
    ],
)
def test_what_is_plain_is_told_after_few_labels(
    kind: Kind, usual: float, old: float, new: float, answer: Answer, labels: int
) -> None:
    shares, needed = rates(kind, usual, old, new)
    assert shares[answer] >= 0.98
    assert needed <= labels


def test_half_of_the_harm_gone_is_no_cure() -> None:
    shares, _ = rates(ERRORS, 0.1, 0.35, 0.22)
    assert shares[Answer.NOT_CURED] >= 0.98


def test_what_labels_cannot_tell_is_not_told() -> None:
    """A harm not far above the floor, of which the version before has left four hundred labels."""
    shares, _ = rates(ERRORS, 0.1, 0.15, 0.1)
    assert shares[Answer.NOT_SHOWN] >= 0.2


def ones(n: int, share: float) -> Moments:
    return Moments(n, n * share, n * share)


def mixed(new_hard: float, labels: int = 1_024) -> Trial:
    """Half of the traffic was hard when the version before served it; of the new one's it is nine tenths."""
    usual = {REST: ones(2_000, 0.2), "c=easy": ones(1_000, 0.05), "c=hard": ones(1_000, 0.35)}
    old = {"c=easy": ones(300, 0.2), "c=hard": ones(300, 0.6)}
    new = {"c=easy": ones(labels // 10, 0.05), "c=hard": ones(labels - labels // 10, new_hard)}
    return Trial(SHARE, usual, old, new=new)


def test_traffic_that_has_become_harder_is_not_held_against_the_new_version() -> None:
    shown = mixed(0.35).judge()
    assert (shown.answer, shown.segments) == (Answer.CURED, 2)
    assert (shown.before.mean, shown.during.mean) == pytest.approx((0.32, 0.56), abs=0.005)
    trial = mixed(0.35)
    together = Trial(SHARE, {REST: trial.usual[REST]}, {REST: ones(600, 0.4)}, new={REST: ones(1_024, 0.32)})
    assert together.judge().answer is not Answer.CURED


def test_traffic_that_has_become_harder_hides_no_harm() -> None:
    assert mixed(0.6).judge().answer is Answer.NOT_CURED
    assert mixed(0.8).judge().answer is Answer.WORSE


def test_segments_that_only_one_version_has_met_are_left_out() -> None:
    trial = mixed(0.35)
    trial.new["c=new"] = ones(200, 0.9)
    shown = trial.judge()
    assert (shown.answer, shown.now.labels) == (Answer.CURED, 1_024)


def test_a_loss_rests_on_no_labels_of_segments_that_are_left_out() -> None:
    trial = mixed(0.5)
    told = trial.shown().during.labels
    trial.old["c=gone"] = ones(400, 0.9)
    assert trial.shown().during.labels == told


def test_on_the_same_predictions_the_loss_of_both_has_the_interval_of_its_own_labels() -> None:
    trial = Trial(SHARE, {REST: ones(1_000, 0.1)}, {})
    for number in range(100):
        trial.add_new(REST, float(number % 10 == 0), 0, 0, float(number % 10 == 5))
    shown = trial.shown()
    assert shown.paired
    assert shown.during == shown.now


def test_where_most_segments_are_new_all_is_compared_together() -> None:
    trial = mixed(0.35, 100)
    trial.new["c=new"] = ones(200, 0.4)
    shown = trial.judge()
    assert (shown.segments, shown.now.labels, shown.before.mean) == (1, 300, pytest.approx(0.2))


def test_more_segments_than_are_kept_are_one() -> None:
    trial = Trial(SHARE, {REST: ones(100, 0.1)}, {})
    for number in range(200):
        trial.add_new(f"c={number}", 1.0, 0, 0)
    assert (len(trial.new), trial.labels) == (51, 200)


def paired(shift: float, labels: int, pairs: bool) -> Shown:
    """Both versions are wrong about the same predictions, and the new one by so much more."""
    draw = np.random.default_rng(3)
    trial = Trial(Unit(False, 1.0, 0.25, 20.0), {REST: Moments.of(1_000, 1.0, 1.0)}, {REST: Moments.of(400, 3.0, 4.0)})
    for hard in draw.exponential(3.0, labels):
        old = float(hard)
        new = old + float(draw.normal(shift, 0.2))
        trial.add_new(REST, new, 0, 0, old if pairs else None)
    return trial.judge()


def test_on_the_same_predictions_a_small_harm_is_seen_soon() -> None:
    assert paired(0.2, 128, pairs=False).answer is None
    shown = paired(0.2, 128, pairs=True)
    assert (shown.answer, shown.paired) == (Answer.WORSE, True)
    assert shown.change.mean == pytest.approx(0.2, abs=0.05)


def test_on_the_same_predictions_a_version_that_is_as_bad_has_not_cured() -> None:
    assert paired(0.0, 512, pairs=True).answer is Answer.NOT_CURED


def test_a_cohort_counts_when_its_labels_have_had_time_to_come() -> None:
    """A hundred milliseconds are waited for, and a cohort is of twenty-five."""
    trial = Trial(SHARE, {REST: ones(1_000, 0.1)}, {REST: ones(100, 0.3)}, 100, begun=1_000)
    trial.add_new(REST, 1.0, 1_000, 1_001, 1.0)  # the quick ones are wrong more often
    trial.add_new(REST, 1.0, 1_024, 1_030)
    trial.add_new(REST, 0.0, 1_025, 1_124)  # of the second cohort
    assert (trial.labels, trial.pairs.n) == (0, 0)
    trial.add_new(REST, 0.0, 1_010, 1_125)
    assert (trial.labels, trial.new[REST].total, trial.pairs.n) == (3, 2.0, 1)
    trial.add_new(REST, 0.0, 1_003, 9_000)  # one that took longer than most
    assert (trial.labels, trial.cohorts) == (5, {})


def test_a_cohort_counts_by_its_time_though_no_label_comes_any_more() -> None:
    trial = Trial(SHARE, {REST: ones(1_000, 0.1)}, {REST: ones(100, 0.3)}, 100, begun=1_000)
    trial.add_new(REST, 1.0, made=1_010, now=1_050)
    trial.ripen(1_124)
    assert trial.labels == 0
    trial.ripen(1_125)
    assert (trial.labels, trial.shown().now.labels) == (1, 1)


def test_losses_that_were_all_the_same_leave_a_doubt() -> None:
    """Nothing was wrong in sixty labels, of either: it is not certain that nothing is."""
    trial = Trial(SHARE, {REST: ones(40, 0.0)}, {REST: ones(40, 0.0)}, new={REST: ones(64, 0.0)})
    assert trial.judge().answer is None


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_share_lies_below_none_or_above_all(share: float) -> None:
    trial = Trial(SHARE, {REST: ones(1_000, 0.1)}, {REST: ones(100, 0.3)}, new={REST: ones(64, share)})
    now = trial.shown().now
    assert 0.0 <= now.low <= now.mean <= now.high <= 1.0
    assert now.low < now.high


def test_one_wild_loss_counts_as_far_as_detectors_look() -> None:
    trial = Trial(Unit(False, 1.0, 0.25, 13.0), {REST: Moments.of(1_000, 1.0, 1.0)}, {})
    trial.add_new(REST, 1e300, 0, 0, 1e300)
    trial.add_old(REST, 1e300)
    assert (trial.new[REST].total, trial.old[REST].total, trial.pairs.products) == (13.0, 13.0, 169.0)


@pytest.mark.parametrize("size", [5e-324, 1e-200, 1e200, 1e308])
def test_losses_of_any_size_are_judged(size: float) -> None:
    trial = Trial(Unit(False, size, 0.25 * size, 13.0 * size), {REST: Moments.of(1_000, size, size * size)}, {})
    for number in range(100):
        trial.add_old(REST, 3.0 * size)
        trial.add_new(REST, size * (number % 7), 0, 0)
    assert trial.judge().during.labels == 100
    trial.add_new(REST, size, 0, 0, size)
    trial.new[REST].n = LOOKS[-1]
    assert trial.judge().answer in set(Answer)


def test_without_losses_of_the_version_before_nothing_is_looked_at() -> None:
    trial = Trial(SHARE, {REST: ones(1_000, 0.1)}, {REST: ones(31, 0.3)}, new={REST: ones(500, 0.1)})
    assert not trial.due
    trial.add_old(REST, 1.0)
    assert trial.due


def test_a_trial_is_the_same_after_it_was_kept() -> None:
    trial = mixed(0.5)
    trial.wait_ms = 100
    for made in (0, 30, 90):
        trial.add_new(REST, 1.0, made, 130, 0.0)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(trial), type=Trial)
    assert kept == trial
    assert kept.judge() == trial.judge()


def test_another_version_begins_anew_against_the_same_losses() -> None:
    trial = mixed(0.5)
    trial.judge()
    trial.begin(5)
    assert (trial.labels, trial.look, trial.due) == (0, LOOKS[0], False)
    assert trial.old["c=hard"] == ones(300, 0.6)
