"""For how long the group's last answer holds, and that nothing is sent after it.

The group waits a whole session for a member before it gives its partitions to others. A process that was put to sleep
does not know how long that was, and what it had queued goes out in the moment in which it wakes up, before anything
else can look at a clock. So the clock is looked at in the last step before a request is written.

When the group meets, it waits for its members no longer than they have told it. It counts out who is not done with its
batch by then, and takes commits of his until that moment: no answer of it holds beyond.
"""

import math
import time
from collections.abc import Callable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.protocol.produce import ProduceRequest

# A third of a session after its last answer the group is asked again before anything is sent, and what is not
# acknowledged in time after that ends the process. Both together are shorter than a session.
ASK_AFTER_OF_SESSION = 1 / 3
SEND_OF_SESSION = 0.6
SEND_S_MAX = 30.0  # shorter than a rebalance may take, so that no batch is sent into the next generation
# A member hears with its next heartbeat that the group meets. So long may the answer to that take, and the last
# request under way.
HEARS_LATE_S = 5.0


def _asleep_or_awake() -> float:
    """Seconds that go on while the machine sleeps, where it can tell them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


CLOCK = _asleep_or_awake if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


class LeaseOverError(KafkaError):  # type: ignore[misc] # aiokafka is not typed for us
    """Others may have our partitions by now.

    aiokafka keeps what it did not send, until the group says that it still counts us in or the process ends.
    """

    retriable = True


class Lease:
    """``send_s``: within it what is sent must be acknowledged. ``meets_s``: so long the group waits when it meets."""

    def __init__(
        self,
        session_s: float,
        clock: Callable[[], float] = CLOCK,
        *,
        meets_s: float = math.inf,
        heartbeat_s: float = 0.0,
    ) -> None:
        self.send_s = min(session_s * SEND_OF_SESSION, SEND_S_MAX)
        self._leave_s = meets_s - heartbeat_s - HEARS_LATE_S
        self._leave_by = math.inf
        self._ask_after_s = session_s * ASK_AFTER_OF_SESSION
        self._clock = clock
        self._answered_at = -math.inf

    def answered(self, asked_at: float) -> None:
        """The group took a commit of ours that was sent then, and so counted us in."""
        self._answered_at = max(self._answered_at, asked_at)  # an older question may be answered last

    def group_meets(self) -> None:
        """It was heard just now: what we have is ours until the group is tired of waiting."""
        self._leave_by = self._clock() + self._leave_s

    def group_has_met(self) -> None:
        self._leave_by = math.inf

    def lost(self) -> None:
        """The group has counted us out before the time."""
        self._answered_at = -math.inf

    def now(self) -> float:
        return self._clock()

    @property
    def wants_asking(self) -> bool:
        return self._age_s >= self._ask_after_s

    @property
    def is_too_short(self) -> bool:
        """Whether what is sent now could still be on its way when others have our partitions."""
        return self._clock() + self.send_s > self._leave_by

    @property
    def over(self) -> bool:
        return self._age_s >= self._ask_after_s + self.send_s or self._clock() >= self._leave_by

    @property
    def _age_s(self) -> float:
        return self._clock() - self._answered_at

    def guard(self, client: AIOKafkaClient) -> None:
        """From now on this client sends no events once the lease is over."""
        send = client.send

        async def send_within(node_id: int, request: Any, **more: Any) -> Any:
            if isinstance(request, ProduceRequest):
                if not await client.ready(node_id):  # it may take long, so it comes before the look at the clock
                    raise NodeNotReadyError(f"node {node_id} is not ready")
                if self.over:
                    raise LeaseOverError("the group was not heard of for too long")
            return await send(node_id, request, **more)  # writes before it waits, where the connection is there

        client.send = send_within
