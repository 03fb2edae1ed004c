"""The locks hold exactly what the project asks for, each file by its hash, and say nothing of where it comes from."""

import re
import tomllib
from typing import Any

import pytest

from tests.tidy.tree import ROOT

LOCKS = ("run", "dev", "bench", "mlflow-server")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\]+)", re.MULTILINE)


def _lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def _pins(text: str) -> dict[str, str]:
    return {_same_name(name): version for name, version in PIN.findall(text)}


def _same_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _asked_for(lock: str) -> dict[str, str]:
    apart = ROOT / "requirements" / f"{lock}.in"
    if apart.exists():  # an environment without the project
        return _pins(apart.read_text())
    project = _project()
    extra = project["project"]["optional-dependencies"].get(lock, [])
    lines = [*project["build-system"]["requires"], *project["project"]["dependencies"], *extra]
    return _pins("\n".join(re.sub(r"\[[^]]*\]", "", line) for line in lines))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^ *#.*\n", "", _lock(lock)))
    assert [block.splitlines()[0] for block in blocks if block and "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_no_option_of_an_installer(lock: str) -> None:
    assert re.findall(r"(?m)://|^-.*$", _lock(lock)) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_what_the_project_asks_for_is_what_is_locked(lock: str) -> None:
    pins = _pins(_lock(lock))
    asked = _asked_for(lock)
    assert asked == {name: pins.get(name) for name in asked}


@pytest.mark.parametrize("lock", ["dev", "bench"])
def test_the_other_locks_hold_all_of_the_runtime_lock(lock: str) -> None:
    assert _pins(_lock("run")).items() <= _pins(_lock(lock)).items()


def test_the_mlflow_server_of_the_tests_is_of_the_same_release_as_the_client() -> None:
    assert _pins(_lock("mlflow-server"))["mlflow"] == _pins(_lock("dev"))["mlflow-skinny"]


def test_every_dependency_is_asked_for_by_one_exact_version() -> None:
    project = _project()["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    assert [line for line in (*project["dependencies"], *extras) if "==" not in line] == []
