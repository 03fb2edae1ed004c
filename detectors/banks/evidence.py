"""What a River detector that has just reported can say for itself.

Read between the report and the next update: there River forgets it all. ``nan`` and -1 stand where it does not know.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_UNKNOWN = math.nan


class Evidence(NamedTuple):
    value: float = _UNKNOWN
    threshold: float = _UNKNOWN
    n: int = -1  # -1: the bank's own count of values since the last report
    before: float = _UNKNOWN
    after: float = _UNKNOWN
    since: int = -1


def of(detector: Any) -> Evidence:
    """The evidence of a detector that we know from inside, else nothing but blanks."""
    read = _READERS.get(f"{type(detector).__module__}.{type(detector).__qualname__}")
    return read(detector) if read else Evidence()


def _adwin(adwin: Any) -> Evidence:
    """What is left of the window is the newer part; the older one, and with it the difference, is dropped already."""
    return Evidence(after=adwin.estimation, since=int(adwin.width))


def _page_hinkley(detector: Any) -> Evidence:
    rise = detector._sum_increase - detector._min_increase
    fall = detector._max_decrease - detector._sum_decrease
    value = {"up": rise, "down": fall}.get(detector.mode, max(rise, fall))
    return Evidence(value, detector.threshold, int(detector._x_mean.n), detector._x_mean.get())


def _ddm(ddm: Any) -> Evidence:
    rate, n = ddm._p.get(), ddm._p.n
    deviation = math.sqrt(rate * (1 - rate) / n)
    threshold = ddm._p_min + ddm.drift_threshold * ddm._s_min
    return Evidence(rate + deviation, threshold, int(n), before=ddm._p_min)


def _eddm(eddm: Any) -> Evidence:
    """A share of the widest distance between errors so far: a report is *below* the threshold."""
    distances = eddm._error_distances
    level = (distances.mean.get() + 2 * distances.get() ** 0.5) / eddm._p2s_prime_max
    return Evidence(level, eddm.beta, eddm._n)


def _hddm_a(hddm: Any) -> Evidence:
    """The cut is where the mean was lowest (for a rise) or highest, bounds included."""
    risen = hddm._mean_incr(hddm.drift_confidence)
    cut, whole = hddm._x_min if risen else hddm._x_max, hddm._z
    since = whole.n - cut.n
    bound = math.sqrt(since / cut.n / whole.n / 2 * math.log(2.0 / hddm.drift_confidence))
    after = (whole.n * whole.get() - cut.n * cut.get()) / since
    return Evidence(abs(whole.get() - cut.get()), bound, int(whole.n), cut.get(), after, int(since))


def _hddm_w(hddm: Any) -> Evidence:
    """The means are exponentially weighted; how long ago the cut was, River does not count."""
    risen = hddm._detect_mean_incr(hddm.drift_confidence)
    before, after = (hddm._s1_incr, hddm._s2_incr) if risen else (hddm._s1_decr, hddm._s2_decr)
    bound = hddm._mcdiarmid_bound(before.ibc + after.ibc, hddm.drift_confidence)
    return Evidence(abs(after.ewma - before.ewma), bound, before=before.ewma, after=after.ewma)


def _kswin(kswin: Any) -> Evidence:
    """A p-value: a report is at or *below* the threshold. Of the window only the newest part is left."""
    newest = list(kswin.window)
    return Evidence(
        float(kswin.p_value), kswin.alpha, kswin.window_size, after=math.fsum(newest) / len(newest), since=len(newest)
    )


_READERS: Mapping[str, Callable[[Any], Evidence]] = {
    "river.drift.adwin.ADWIN": _adwin,
    "river.drift.page_hinkley.PageHinkley": _page_hinkley,
    "river.drift.binary.ddm.DDM": _ddm,
    "river.drift.binary.eddm.EDDM": _eddm,
    "river.drift.binary.hddm_a.HDDMA": _hddm_a,
    "river.drift.binary.hddm_w.HDDMW": _hddm_w,
    "river.drift.kswin.KSWIN": _kswin,
}
