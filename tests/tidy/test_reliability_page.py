"""The page on reliability names tests that there are, and every test of the fault suite."""

import ast
import re

from tests.tidy.tree import python_files, text_files

PAGE = "docs/reliability.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)
FAULTS = 52


def _tests(path: str, text: str) -> set[tuple[str, str]]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {(path, node.name) for node in ast.walk(ast.parse(text)) if isinstance(node, functions)}


def test_what_the_page_names_is_there_and_no_fault_is_left_out() -> None:
    page, files = text_files()[PAGE], python_files("tests")
    there = {test for path, text in files.items() for test in _tests(path, text)}
    named = set(NAMED.findall(page))
    missing = {(path, name) for path, name in named if (path, name) not in there and (name or path not in files)}
    in_suite = {(path, name) for path, name in there if path.startswith("tests/faults/") and name.startswith("test_")}
    assert (missing, in_suite - named) == (set(), set())
    assert set(map(int, ROW.findall(page))) == set(range(1, FAULTS + 1))
