"""The rule of tests/conftest.py, seen from outside: a run of pytest in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RULE = Path(__file__).parents[1] / "conftest.py"
SKIPS = {
    "a test that skips itself": "import pytest\ndef test_it():\n    pytest.skip('no broker')\n",
    "a marked test": "import pytest\n@pytest.mark.skip(reason='no broker')\ndef test_it(): pass\n",
    "a module that skips": "import pytest\npytest.skip('no broker', allow_module_level=True)\n",
    "an expected failure": "import pytest\n@pytest.mark.xfail(reason='no broker')\ndef test_it(): assert False\n",
}


def _run(folder: Path, source: str, ci: str) -> "subprocess.CompletedProcess[str]":
    (folder / "conftest.py").write_text(RULE.read_text())
    (folder / "test_one.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", str(folder), str(folder)]
    return subprocess.run(command, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS.keys())
def test_in_ci_what_is_not_run_fails_and_says_why(source: str, tmp_path: Path) -> None:
    run = _run(tmp_path, source, ci="true")
    assert run.returncode != 0
    assert "no broker" in run.stdout


def test_elsewhere_a_skip_is_only_shown(tmp_path: Path) -> None:
    run = _run(tmp_path, SKIPS["a marked test"], ci="")
    assert (run.returncode, "1 skipped" in run.stdout) == (0, True)
