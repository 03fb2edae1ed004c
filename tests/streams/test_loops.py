"""When the detectors' loops are compiled: once, by one process, all of them, and after all that can be refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from detectors import loops as kernels
from detectors.banks.jit import NotCompiledError, inlined, only_loaded
from streams import loops

ROOT = Path(__file__).parents[2]
LATE = ("streams.loops", "detectors.loops", "detectors.engine", "faust", "rocksdict")  # compiled, or heavy
REFUSED = f"""
import sys
LATE = {LATE}
from streams.cli import main
status = main(sys.argv[1:])
sys.stderr.write(f"; ended with {{status}}; " + " ".join(name for name in LATE if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[worker]\nnonsense = 1", "worker.nonsense: is not a setting"),
        (
            "[kafka]\nprotocol = 'sasl_plaintext'\nusername = 'u'\npassword = 'p'\nsasl_mechanism = 'plain'",
            "would send the password without TLS",
        ),
        ("[kafka]\nbootstrap = '127.0.0.1:1'", "127.0.0.1:1"),
        ("[kafka]\nbootstrap = '127.0.0.1:1'\n[state]\ndir = '/dev/null/state'", "/dev/null is no directory"),
    ],
)
def test_a_worker_is_refused_before_anything_is_loaded_that_takes_long(
    settings: str, said: str, tmp_path: Path
) -> None:
    config = tmp_path / "driftline.toml"
    config.write_text(settings)
    words = [sys.executable, "-c", REFUSED, "worker", "--config", str(config)]
    done = subprocess.run(words, capture_output=True, cwd=ROOT, check=False, text=True)
    assert said in done.stderr
    assert done.stderr.rpartition("; ended with ")[2] in ("1; ", "2; ", "69; ", "78; ")


def test_the_parts_are_all_there_is_to_compile() -> None:
    for part in kernels.PARTS:
        part()
    with only_loaded():
        kernels.warm_up()


def test_what_would_be_compiled_is_noticed_and_can_be_compiled_afterwards() -> None:
    @inlined
    def doubled(number: int) -> int:
        return 2 * number

    with pytest.raises(NotCompiledError), only_loaded():
        doubled(4)
    assert doubled(4) == 8


def test_what_is_compiled_already_is_not_told() -> None:
    kernels.warm_up()
    loops.load(_unheard)


def test_one_process_compiles_at_a_time_and_the_next_when_that_is_gone(tmp_path: Path) -> None:
    with (tmp_path / loops.LOCK).open("ab") as mine, (tmp_path / loops.LOCK).open("ab") as others:
        assert loops._taken(mine)
        assert not loops._taken(others)
        mine.close()
        assert loops._taken(others)


def _unheard(text: str, /, **facts: float) -> None:
    raise AssertionError(text)
