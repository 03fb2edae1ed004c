"""What workers on a real broker wrote and counted, held against a replay of the same topics."""

from collections.abc import Mapping

from load.site.site import OUTPUTS, Site
from load.site.verdict import in_order
from load.site.workers import Worker
from schemas.topics import Stream


def fates_add_up(worker: Worker) -> dict[tuple[str, str], dict[str, float]]:
    """Asserts that consumed is the sum of the fates, by topic and partition; returns the fates."""
    fates: dict[tuple[str, str], dict[str, float]] = {}
    for labels, value in worker.metrics("driftline_records_total"):
        fates.setdefault((labels["topic"], labels["partition"]), {})[labels["fate"]] = value
    consumed = {
        (labels["topic"], labels["partition"]): value for labels, value in worker.metrics("driftline_consumed_total")
    }
    assert {place: sum(ends.values()) for place, ends in fates.items()} == consumed
    return fates


def live_equals_replay(site: Site) -> Mapping[Stream, int]:
    """Asserts that every output topic holds the replay's bytes, in its order, each id once; returns how many.

    Call it when the workers have ended: what was applied last may still wait to be sent before.
    """
    replayed, sizes = site.replay(), {}
    for stream in OUTPUTS:
        live = in_order(site.read(stream))
        ids = [event_id for event_id, _ in live]
        assert len(ids) == len(set(ids)), f"{stream}: an event stands twice"
        assert live == replayed[stream], stream
        sizes[stream] = len(live)
    return sizes
