"""Which alert is meant: by its id, by its incident's, or by how one of them begins. In bounded memory."""

from difflib import get_close_matches

from detectors.effects import derived_id
from schemas.events import Alert
from streams.errors import UsageError

NAMED_MAX = 5  # ids that an error names
KNOWN_MAX = 10_000  # ids that are looked at for those near to one that there is not
_ID_CHARACTERS = len(derived_id())
_LIKE = 0.5  # of its characters an id must have in common with what was typed to be named


class Choice:
    """Takes alerts in their order. An incident stands for its first step that there is: that is what paged."""

    def __init__(self, beginning: str) -> None:
        if not beginning:
            raise UsageError("no alert was named", advice="driftline incidents list shows incidents")
        self._beginning = beginning
        self._alerts: dict[str, Alert] = {}
        self._incidents: dict[str, Alert] = {}
        self._known: dict[str, None] = {}

    def add(self, alert: Alert) -> None:
        self._known |= {alert.id: None, alert.incident: None}
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        for name, found in ((alert.id, self._alerts), (alert.incident, self._incidents)):
            wanted = name == self._beginning or len(found) <= NAMED_MAX  # of more it is told that there are several
            if wanted and name.startswith(self._beginning):
                found.setdefault(name, alert)

    @property
    def settled(self) -> bool:
        """Whether no alert to come can make it another one."""
        whole = len(self._beginning) == _ID_CHARACTERS
        return whole and (self._beginning in self._alerts or self._beginning in self._incidents)

    def alert(self, where: str) -> Alert:
        """``UsageError`` where there is none such ``where`` it was looked for, or several."""
        for found in (self._alerts, self._incidents):
            if self._beginning in found:
                return found[self._beginning]
        both = {**self._incidents, **self._alerts}
        if len(both) == 1:
            return next(iter(both.values()))
        if both:
            some = ", ".join(sorted(both)[:NAMED_MAX])
            raise UsageError(f"several ids begin so: {some}", where=self._beginning, advice="give more of it")
        near = get_close_matches(self._beginning, self._known, NAMED_MAX, _LIKE) or list(self._known)[-NAMED_MAX:]
        advice = f"nearest: {', '.join(near)}" if near else "there is no alert at all"
        raise UsageError(f"no alert and no incident of {where} begins so", where=self._beginning, advice=advice)
