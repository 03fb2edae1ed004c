"""What was written under fire, held against what an undisturbed run wrote or decided on the same inputs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from load.output import say
from load.site.site import OUTPUTS, PARTITIONS, Keys, Site, Written
from load.site.workers import running, wait_until_read
from schemas.topics import Stream

NO_TICKS: Keys = {"worker.tick_interval": "0s"}  # who only reads along must not add to what is read
READ_WITHIN_S = 900.0
SHOWN = 3  # events named for each kind of difference


class Verdict(NamedTuple):
    """Events of one topic, or of several together."""

    events: int = 0  # of the undisturbed run
    lost: int = 0
    repeated: int = 0  # the same id again
    different: int = 0  # other bytes, an id that the undisturbed run does not know, or another place in the order


def together(verdicts: Iterable[Verdict]) -> Verdict:
    return Verdict(*map(sum, zip(*verdicts, strict=True)))


def compare(undisturbed: Sequence[tuple[str, bytes]], written: Sequence[tuple[str, bytes]], name: str = "") -> Verdict:
    """Each event of the one against the other, by id; the order of those that both have."""
    wanted, found = dict(undisturbed), dict(written)
    lost = [event_id for event_id in wanted if event_id not in found]
    repeated = [event_id for event_id, times in Counter(event_id for event_id, _ in written).items() if times > 1]
    different = list(dict.fromkeys(event_id for event_id, value in written if wanted.get(event_id) != value))
    order = [event_id for event_id in dict.fromkeys(event_id for event_id, _ in written) if event_id in wanted]
    out_of_place = [
        here for here, there in zip((each for each in wanted if each in found), order, strict=True) if here != there
    ]
    kinds = {"lost": lost, "repeated": repeated, "different": different, "out of place": out_of_place}
    for kind, ids in kinds.items():
        if ids:
            say(f"{name}: {len(ids)} {kind}, such as {', '.join(ids[:SHOWN])}")
    return Verdict(len(wanted), len(lost), len(written) - len(found), len(different) + len(out_of_place))


def judge(site: Site) -> dict[str, Mapping[Stream, Verdict]]:
    """By witness, every output topic of a site at rest: a replay, and a worker that nobody disturbed."""
    written = {stream: in_order(site.read(stream)) for stream in OUTPUTS}
    undisturbed = {"replay": site.replay(), "worker": _of_a_worker(site)}
    return {
        witness: {stream: compare(decided[stream], written[stream], f"{witness}, {stream}") for stream in OUTPUTS}
        for witness, decided in undisturbed.items()
    }


def _of_a_worker(site: Site) -> dict[Stream, Written]:
    witness = site.witness(NO_TICKS)
    with running() as start:
        worker = start(witness)
        wait_until_read([worker], READ_WITHIN_S)
        worker.stop()
    return {stream: in_order(witness.read(stream)) for stream in OUTPUTS}


def in_order(partitions: Mapping[int, Written]) -> Written:
    """One partition after the other, as a replay goes through them."""
    return [event for number in range(PARTITIONS) for event in partitions[number]]


def figures(verdicts: Mapping[str, Mapping[Stream, Verdict]]) -> dict[str, object]:
    """The worst that any witness says, and how much there was to compare by topic."""
    totals = [together(by_stream.values()) for by_stream in verdicts.values()]
    first = next(iter(verdicts.values()))
    return {
        "lost": max(total.lost for total in totals),
        "repeated": max(total.repeated for total in totals),
        "different": max(total.different for total in totals),
        "compared": {stream.value: verdict.events for stream, verdict in first.items()},
        "witnesses": {name: total._asdict() for name, total in zip(verdicts, totals, strict=True)},
    }
