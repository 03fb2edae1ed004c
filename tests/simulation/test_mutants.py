"""The simulation notices mistakes: each of them within a few seeds."""

import pytest

from tests.simulation.__main__ import silence
from tests.simulation.mutants import MUTANTS
from tests.simulation.simulate import simulate

START = 9_000  # no seed that is also run without a mistake
SEEDS_MAX = 40  # four times what the others take
# It takes a zombie, an owner that is further, and the zombie's state coming back: about one seed in a hundred.
RARE = {"marks_pass_what_others_wrote": 400}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_is_noticed_within_a_few_seeds(name: str) -> None:
    silence()
    with MUTANTS[name]():
        assert any(simulate(seed).violations for seed in range(START, START + RARE.get(name, SEEDS_MAX)))
