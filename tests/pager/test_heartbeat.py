"""The heartbeat comes while alerts are being taken: a pager that lives and does nothing is silent."""

import pytest

from load.endpoint import endpoint, says
from streams.pager.heartbeat import BEHIND_S, STALE_S, Heartbeat, Pulse
from streams.secrets import Secret
from streams.sections import PagerSettings


class Life:
    def __init__(self) -> None:
        self.now = 0.0
        self.pulse = Pulse(lambda: self.now)

    def well_after(self, seconds: float, *, turned: bool = True, answered: int | None = 0) -> bool:
        self.now += seconds
        if turned:
            self.pulse.turned()
        if answered is not None:
            self.pulse.answered(answered)
        return self.pulse.is_well()


def test_before_anything_was_read_nothing_is_well() -> None:
    life = Life()
    assert not life.pulse.is_well()
    life.pulse.turned()
    assert not life.pulse.is_well()
    life.pulse.answered(0)
    assert life.pulse.is_well()


@pytest.mark.parametrize("stuck", [{"turned": False}, {"answered": None}], ids=["reading", "brokers"])
def test_what_stands_still_is_not_well_and_what_moves_again_is(stuck: dict[str, bool | None]) -> None:
    life = Life()
    assert life.well_after(0)
    assert life.well_after(STALE_S, **stuck)  # type: ignore[arg-type]
    assert not life.well_after(1, **stuck)  # type: ignore[arg-type]
    assert life.well_after(1)


def test_alerts_that_are_not_taken_for_minutes_are_not_well() -> None:
    life = Life()
    assert life.well_after(0, answered=5)
    assert all(life.well_after(30, answered=5) for _ in range(int(BEHIND_S / 30)))
    assert not life.well_after(30, answered=5)
    assert life.well_after(1, answered=0)


async def test_it_is_sent_while_all_is_well_and_counts_where_it_is_answered() -> None:
    life, told = Life(), []
    async with endpoint(says(204)) as server:
        url = Secret(server.url("/canary"))
        settings = PagerSettings(heartbeat_url=url, heartbeat_allow_private=True)
        heart = Heartbeat(settings, life.pulse, told.append)
        await heart.once()
        assert server.got == []
        life.well_after(0)
        await heart.once()
        server.script = [says(500)]
        await heart.once()
        assert ([got.path for got in server.got], len(told)) == (["/canary", "/canary"], 1)


async def test_it_is_not_sent_within_a_private_network_unless_that_is_allowed() -> None:
    life = Life()
    life.well_after(0)
    async with endpoint(says(204)) as server:
        await Heartbeat(PagerSettings(heartbeat_url=Secret(server.url())), life.pulse, print).once()
        assert server.got == []
