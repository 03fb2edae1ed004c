"""What is kept of one model as a whole. Its monitors and what its joins hold are records of their own."""

import msgspec

from detectors.desk import DeskState
from detectors.flow import FlowState
from detectors.join import JoinCounts, JoinState
from detectors.loss import LossRule
from detectors.mutes import Mute
from detectors.pairs import Held
from detectors.versions import ScopesState


class MonitorState(msgspec.Struct, array_like=True, frozen=True):
    number: int
    config: int  # a checksum: under another configuration the detectors begin afresh
    join: JoinState
    challengers: JoinState
    told: JoinCounts
    challenged: bool
    window_end: int
    scopes: ScopesState
    rule: LossRule | None
    held: list[Held]
    mutes: list[Mute]
    flow: FlowState
    desk: DeskState
    now: int
