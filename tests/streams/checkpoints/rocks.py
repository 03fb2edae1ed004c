"""A real RocksDB to make checkpoints of, and what is in one."""

from pathlib import Path
from random import Random

from rocksdict import Checkpoint, Options, Rdict

ROWS = 1_000  # a position: each step of a state writes so many rows


def options() -> Options:
    made = Options(raw_mode=True)
    made.create_if_missing(True)
    return made


class State:
    """What it holds after a number of steps depends on that number alone, as a partition's state on its positions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps = 0
        self.db = Rdict(str(folder / "db"), options=options())

    def step(self) -> None:
        chance = Random(self.steps)
        for row in range(ROWS):
            self.db[b"%08d" % (self.steps * ROWS + row)] = chance.randbytes(64)
        self.db[b"last"] = b"%d" % self.steps
        self.steps += 1

    def checkpoint(self) -> Path:
        """A folder as ``Checkpoints.save`` takes it; the state goes on meanwhile."""
        folder = self.folder / f"checkpoint-{self.steps}"
        Checkpoint(self.db).create_checkpoint(str(folder))
        return folder

    @property
    def positions(self) -> dict[str, int]:
        return {"predictions": self.steps * ROWS, "outcomes": self.steps}

    def content(self) -> dict[bytes, bytes]:
        return dict(self.db.items())


def grown(folder: Path, steps: int) -> State:
    state = State(folder)
    for _ in range(steps):
        state.step()
    return state


def content(folder: Path) -> dict[bytes, bytes]:
    db = Rdict(str(folder), options=options())
    try:
        return dict(db.items())
    finally:
        db.close()
