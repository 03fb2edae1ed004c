"""What every fault is tried with: a site, workers, the end that is expected of them, and the verdict afterwards.

Either the worker healed, and then its output topics equal a replay of its input topics, byte for byte and each event
once; or it ended by itself, not with zero, and said why in one line. Alive and idle is neither.
"""

import json
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from load.brokers.secure import PASSWORD
from load.site.site import OUTPUTS, Keys, Site
from load.site.traffic import Flow, Traffic
from load.site.verdict import NO_TICKS, compare, in_order
from load.site.workers import Worker, all_read, consumed, wait_until, wait_until_read
from schemas.topics import Stream
from tests.commands import NearSite

SEED = 20_261_124
REGIME = 400  # predictions of a model between two changes: a few thousand records then hold alerts and retrains
PER_SECOND = 6_000.0  # events
TRAFFIC = (Stream.PREDICTIONS, Stream.OUTCOMES)  # workers go on writing ticks, so those are not waited for

# A worker of these tests holds six models. Past these it is leaking, not working.
RSS_MIB_MAX = 900
OPEN_FILES_MAX = 400

QUICK: Keys = {"worker.tick_interval": "1s", "state.checkpoint_interval": "2s", "worker.watchdog_stall": "15s"}


class Subject(Worker):
    """A worker under test."""

    def limit(self, which: int, most: int) -> None:
        """Another limit of the operating system on the running process, as ``ulimit`` would have set."""
        resource.prlimit(self.process.pid, which, (most, most))

    def ended(self, within_s: float) -> str:
        """Waits for the worker to end by itself, not with zero; returns the line in which it says why."""
        try:
            status = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"alive after {within_s:.0f} s:\n{self.said}") from None
        assert status not in (0, None), f"ended with {status}:\n{self.said}"
        assert status > 0, f"ended by signal {-status}:\n{self.said}"
        return last_words(self.said)

    def require_bounded(self) -> None:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        rss_mib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
        open_files = len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
        assert (rss_mib < RSS_MIB_MAX, open_files < OPEN_FILES_MAX) == (True, True), (rss_mib, open_files)


def alive_or_started_again(
    worker: Subject, start: Callable[..., Subject], site: Site, settings: Keys | None = None
) -> Subject:
    """It may have ended, loudly; then a supervisor starts it again."""
    if worker.process.poll() is None:
        return worker
    worker.ended(0)
    return start(site, worker.name, settings)


def last_words(said: str) -> str:
    """The last line of a log; of one in JSON, the reason."""
    line = said.rstrip().rpartition("\n")[2]
    try:
        return str(json.loads(line).get("reason", line))
    except ValueError:
        return line


class Subjects:
    """All workers of one test."""

    def __init__(self) -> None:
        self._started: list[Subject] = []

    def start(
        self, site: Site, name: str = "worker", settings: Keys | None = None, within: Sequence[str] = ()
    ) -> Subject:
        self._started.append(Subject(site, name, settings, within))
        return self._started[-1]

    def end(self) -> None:
        for subject in self._started:
            if subject.process.poll() is None:
                subject.kill()
            print(f"--- {subject.log.name}\n{subject.said}")  # noqa: T201 - pytest shows it where the test failed

    def require_no_secret_in_logs(self) -> None:
        leaking = [subject.log.name for subject in self._started if PASSWORD in subject.said]
        assert leaking == []


def site_on(bootstrap: str, folder: Path, **settings: str | int | bool) -> Site:
    """Topics of a test's own. Settings by their names with ``__`` for the dot."""
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return NearSite(bootstrap, folder, {**QUICK, **named}).create_topics()


def traffic_on(site: Site) -> Traffic:
    return Traffic(site, SEED, REGIME)


def flow(site: Site, per_second: float) -> Flow:
    """Traffic as long as the block runs, after enough of it for alerts."""
    traffic = traffic_on(site)
    traffic.send(4_000, PER_SECOND)
    return Flow(site, traffic, per_second)


def wait_for_traffic(workers: Sequence[Worker], within_s: float = 60.0) -> None:
    """Until all that was sent is applied."""
    wait_until_read(workers, within_s, TRAFFIC)


def wait_for_traffic_or_end(worker: Worker, within_s: float) -> None:
    since = time.time()
    wait_until(
        lambda: worker.process.poll() is not None or all_read([worker], since, TRAFFIC), "it works or ends", within_s
    )


def settle(site: Site, workers: Sequence[Subject], within_s: float = 60.0, *, repeats_allowed: bool = False) -> None:
    """Everything is read, what was used is bounded, the workers end well, and live equals a replay."""
    wait_for_traffic(workers, within_s)
    for worker in workers:
        worker.require_bounded()
        assert worker.stop() == 0, worker.said
    live_equals_replay(site, workers[0].name, repeats_allowed=repeats_allowed)


def live_equals_replay(site: Site, name: str, *, repeats_allowed: bool = False) -> None:
    """One more life under that name reads the last ticks, and writes none: a replay would know more of them."""
    last = Subject(site, name, NO_TICKS)
    try:
        decided = site.replay()  # while it starts: what it is to read is all there
        wait_until_read([last])
        assert last.stop() == 0, last.said
    finally:
        last.kill()
    verdicts = {stream: compare(decided[stream], in_order(site.read(stream)), stream) for stream in OUTPUTS}
    wrong = {
        stream: each
        for stream, each in verdicts.items()
        if each.lost or each.different or (each.repeated and not repeats_allowed)
    }
    assert wrong == {}
    silent = [stream for stream in (Stream.ALERTS, Stream.METRICS) if not verdicts[stream].events]
    assert silent == []  # or the comparison proves nothing


def owned(worker: Subject) -> int:
    return int(worker.total("driftline_owned_partitions"))


def applied(worker: Subject) -> float:
    """Records of all inputs that this life of the worker is finished with."""
    return sum(consumed(worker.page()).values())


def wait_for_work(worker: Subject, within_s: float = 60.0) -> None:
    """Until it has applied more than now."""
    before = applied(worker)
    wait_until(lambda: worker.process.poll() is not None or applied(worker) > before, "it applies records", within_s)
    worker.require_alive()
