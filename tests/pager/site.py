"""A pager without a broker: an outbox on a disk in memory, couriers, and a clock that goes as it is told."""

from collections.abc import Callable

from streams.pager.answers import Answer, delivered
from streams.pager.courier import Courier, Post
from streams.pager.sinks.sink import Sink
from streams.pager.steps import Action, Page
from streams.sections import PagerSettings
from tests.pager.steps import NOW, Box

GIVE_UP_S = 6 * 3_600.0


class Counts:
    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def delivered(self, sink: str, action: str) -> None:
        self.seen.append(("delivered", sink, action))

    def retried(self, sink: str, reason: str) -> None:
        self.seen.append(("retried", sink, reason))

    def failed(self, sink: str, reason: str) -> None:
        self.seen.append(("failed", sink, reason))

    def held_back(self, sink: str) -> None:
        self.seen.append(("held_back", sink))

    def of(self, what: str) -> list[tuple[str, ...]]:
        return [entry[1:] for entry in self.seen if entry[0] == what]


class Scripted:
    """A sink that answers as told, and with success when that is done."""

    def __init__(self, *answers: Answer, repeats_s: float | None = None) -> None:
        self.answers = list(answers)
        self.pages: list[Page] = []
        self.repeats_s = repeats_s

    async def deliver(self, page: Page) -> Answer:
        self.pages.append(page)
        return self.answers.pop(0) if self.answers else delivered("taken")

    @property
    def said(self) -> list[tuple[str, Action]]:
        return [(page.alert.incident, page.action) for page in self.pages]


class Site:
    """An outbox and a courier for each sink, with one clock."""

    def __init__(
        self,
        *,
        fallback: dict[str, str] | None = None,
        rate: int = 1_000,
        chance: Callable[[], float] = lambda: 1.0,
        pager: PagerSettings | None = None,
        **sinks: Sink,
    ) -> None:
        self.now = NOW
        self.box, self.counts = Box(*sinks, pager=pager), Counts()
        self._sinks, self._fallback, self._rate, self._chance = sinks, fallback or {}, rate, chance
        self.restart()

    def restart(self) -> None:
        self.box.restart()
        self.couriers = {
            name: Courier(
                Post(name, sink, self._fallback.get(name), self._rate, GIVE_UP_S, 300.0),
                self.box.outbox,
                self.counts,
                lambda: self.now,
                self._chance,
                lambda: None,
            )
            for name, sink in self._sinks.items()
        }

    async def until(self, end: float) -> None:
        """Lets time pass from one thing that is due to the next."""
        while True:
            self.box.look(self.now)
            dues = [due for courier in self.couriers.values() if (due := await courier.step()) is not None]
            due = max(min(dues, default=end + 1), self.now)
            if due > end and self.now == end:
                return
            self.now = min(due, end)
