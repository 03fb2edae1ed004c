"""Keeps the tree tidy: what a reviewer would have to say again and again, said once by a machine."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.tidy.tree import CODE, python_files, text_files

MODULE_LINES_MAX = 400  # a module that does one thing is mostly under 300
FUNCTION_LINES_MAX = 60  # the longest table of arguments or fields that still reads as one thought
METHODS_MAX = 30  # past this a class is several; a subclass of a framework's class comes near it

# Raising the last is leaving something open; catching what a library raises is not.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b|\braise NotImplemented" + r"Error\b")
OF_ONE_MACHINE = re.compile(
    r"/(work|root|home)/\w|\b(pypi\.org|pythonhosted\.|repo1?\.maven|docker\.io|quay\.io|ghcr\.io)\b"
)
NOT_RUN = re.compile(r"\b(skipif|importorskip|mark\.skip|mark\.xfail|pytest\.skip|pytest\.xfail)\b")


def _lines_matching(pattern: re.Pattern[str], files: dict[str, str]) -> list[str]:
    return [
        f"{name}:{number} {line.strip()}"
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def _definitions(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for name, text in python_files(*CODE).items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, kind):
                yield name, node


def test_nothing_is_left_unfinished() -> None:
    assert _lines_matching(UNFINISHED, text_files()) == []


def test_nothing_belongs_to_one_machine_or_one_index() -> None:
    assert _lines_matching(OF_ONE_MACHINE, text_files()) == []


def test_lines_end_without_blanks_and_files_end_with_one_newline() -> None:
    blanks = _lines_matching(re.compile(r"[ \t]+$"), text_files())
    ends = [name for name, text in text_files().items() if text and (not text.endswith("\n") or text.endswith("\n\n"))]
    assert (blanks, ends) == ([], [])


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, text in python_files(*CODE).items() if text and ast.get_docstring(ast.parse(text)) is None]
    assert silent == []


def test_modules_stay_small() -> None:
    assert [name for name, text in python_files(*CODE).items() if text.count("\n") > MODULE_LINES_MAX] == []


def test_functions_stay_small() -> None:
    functions = (*_definitions(ast.FunctionDef), *_definitions(ast.AsyncFunctionDef))
    long = [
        f"{name} {node.name}"
        for name, node in functions
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_classes_stay_small() -> None:
    large = [
        f"{name} {node.name}"
        for name, node in _definitions(ast.ClassDef)
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in node.body) > METHODS_MAX
    ]
    assert large == []


def test_no_error_is_swallowed_without_a_word() -> None:
    silent = [
        f"{name}:{node.lineno}"
        for name, node in _definitions(ast.ExceptHandler)
        if isinstance(node, ast.ExceptHandler) and isinstance(node.body[0], ast.Pass)
    ]
    assert silent == []


@pytest.mark.parametrize("module", ["pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"])
def test_no_format_that_can_run_code_is_read_or_written(module: str) -> None:
    imports = re.compile(rf"^\s*(import|from) {module}\b")
    assert _lines_matching(imports, python_files(*CODE)) == []


def test_the_core_reads_no_clock_no_environment_and_no_chance() -> None:
    impure = re.compile(
        r"^\s*(import|from) (time|os|random|logging|asyncio|faust|aiokafka)\b"
        r"|datetime\.(now|utcnow|today)|date\.today|np\.random\.(?!Generator)"
    )
    assert _lines_matching(impure, python_files("schemas", "detectors")) == []


def test_no_test_excuses_itself_from_being_run() -> None:
    tests = {name: text for name, text in python_files("tests").items() if not name.startswith("tests/tidy/")}
    assert _lines_matching(NOT_RUN, tests) == []


def test_the_image_sets_nothing_that_would_win_over_the_file_of_whoever_runs_it() -> None:
    assert "DRIFTLINE_" not in text_files()["Dockerfile"]
