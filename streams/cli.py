"""``driftline``: finds the command, runs it, and turns whatever happens into one line and an exit status.

0: done. 1: the work failed. 2: the call or the configuration is wrong. 130: interrupted. 141: nobody reads the output.
"""

import argparse
import ast
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Never

from streams import collector
from streams.commands import (
    Command,
    audit,
    check,
    control,
    dead_letters,
    diff,
    incidents,
    inject,
    mlflow,
    pager,
    replay,
    report,
    schema,
    score,
    topics,
    tune,
    whatif,
    why,
    worker,
)
from streams.errors import DriftlineError, UsageError
from streams.terminal import complain, quieten_libraries, say
from streams.text import printable

DISTRIBUTION = "driftline"
PLUGINS = "driftline.commands"  # commands of the layers above are found by name
FAILED, INTERRUPTED, UNREAD = 1, 130, 141  # the last two: 128 and the signal's number, as shells count

COMMANDS: tuple[Command, ...] = (
    replay.command,
    report.command,
    diff.command,
    why.command,
    inject.command,
    score.command,
    whatif.command,
    tune.command,
    worker.command,
    pager.command,
    mlflow.command,
    topics.command,
    incidents.command,
    control.command,
    audit.command,
    check.command,
    schema.command,
    dead_letters.command,
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise UsageError(message, advice=f"see {self.prog} --help")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> Never:
        say(f"driftline {version(DISTRIBUTION)}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    collector.look_seldom()  # first, as each command imports what it needs
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]  # it may stand anywhere
    if not debug:
        quieten_libraries()
    try:
        status = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return UNREAD
    except KeyboardInterrupt:
        return _failed(["interrupted"], INTERRUPTED, debug)
    except DriftlineError as error:
        return _failed(error.lines, error.exit_status, debug)
    except Exception as error:  # the last resort: one line for what nobody foresaw
        what = f"unexpected {type(error).__name__}: {error}; --debug shows where"
        return _failed([what], FAILED, debug)
    return status


def _run(words: list[str]) -> int:
    try:
        parsed = _parser(_commands(words)).parse_args(words)
    except SystemExit:  # argparse has shown help or the version; what is wrong comes as UsageError
        return 0
    status: int = parsed.run(parsed)
    return status


def _failed(lines: Sequence[str], status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    for line in lines:
        complain(f"driftline: {printable(line)}")
    return status


def _parser(commands: Sequence[Any]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="driftline",
        description="Watches machine-learning models in production, on Kafka or on files.",
        epilog="example: driftline replay events.jsonl.gz --out results",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks; may stand anywhere")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for command in commands:
        example = getattr(command, "example", "")
        child = subparsers.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"example: {example}" if example else None,
        )
        command.add_arguments(child)
        child.set_defaults(run=command.run)
    return parser


def _commands(words: Sequence[str]) -> list[Any]:
    """Ours, and the plug-ins only where none of ours is called: what they import may be heavy."""
    wanted = next((word for word in words if not word.startswith("-")), "")
    if any(command.name == wanted for command in COMMANDS):
        return list(COMMANDS)
    plugins: Mapping[str, EntryPoint] = {plugin.name: plugin for plugin in entry_points(group=PLUGINS)}
    if wanted in plugins:
        return [*COMMANDS, plugins[wanted].load()]
    return [*(_mentioned(plugin) for plugin in plugins.values()), *COMMANDS]


def _mentioned(plugin: EntryPoint) -> Command:
    """A plug-in for the list of commands: its words come from its module's first line, so that nothing is imported."""
    spec = find_spec(plugin.module)
    source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    words = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0].partition(": ")[2].rstrip(".")
    return Command(plugin.name, words[:1].upper() + words[1:], lambda parser: None, lambda args: FAILED, "")


if __name__ == "__main__":
    sys.exit(main())
