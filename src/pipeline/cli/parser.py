"""The parser of `animal`, whose help has the commands in groups, each with an example."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_OVERVIEW = """\
usage: animal COMMAND [arguments]

From folders of animal photos to a recogniser one can trust, retrain and serve."""
_EPILOG = """\
`animal COMMAND --help` tells more of a command. Exit codes: 0 done; 1 a mistake that one can mend,
shown in a sentence; 2 a wrong command line; 130 interrupted. docs/commands.md has them all.
"""

# Values of shtab's `FILE`, which completes paths; it is only imported by `animal completion`.
FILE = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files",
    "tcsh": "f",
    "fish": "(__fish_complete_path (commandline -ct))",
    "powershell": "_shtab_powershell_compgen_files",
}
_PATHS = ("paths", "source", "folder", "log", "output", "events", "relative_to")


class Parser(argparse.ArgumentParser):
    """A parser that marks arguments as paths, for the shell to complete.

    Attributes:
        overview: Its help as a whole; empty for argparse's own.
    """

    overview = ""

    def format_help(self) -> str:
        """Returns the help."""
        return self.overview or super().format_help()

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Adds an argument as `argparse.ArgumentParser.add_argument` does."""
        action = super().add_argument(*names, **settings)
        if action.type is Path or action.dest in _PATHS:
            action.complete = FILE  # pyright: ignore[reportAttributeAccessIssue] (shtab reads it)
        return action

    def add_model(self, default: str | None = "Production") -> None:
        """Adds `--model`, which names a recogniser; `versions.locate` reads it.

        Args:
            default: What it is where nobody names one. Defaults to the version that serves.
        """
        self.add_argument(
            "--model",
            default=default,
            help="version, stage, alias or URI of a registered model, or a folder such as "
            f"models/final (default: {default or 'the last test'})",
        )


class Commands:
    """Takes the command of one module, which adds it by `add(commands)`.

    Args:
        subparsers: What `argparse.ArgumentParser.add_subparsers` returned.
        run: What the command does.

    Attributes:
        line: Names the command in the help of `animal`.
    """

    def __init__(self, subparsers: Any, run: Callable[[argparse.Namespace], None]) -> None:
        self._subparsers, self._run = subparsers, run
        self.line = ""

    def add_parser(self, name: str, *, help: str, example: str, epilog: str = "") -> Parser:
        """Adds a command.

        Args:
            name: The command.
            help: What it does, in a line.
            example: A command line to start from, without the `animal` before it.
            epilog: What there is to say besides, at the end of its help.

        Returns:
            Its parser, which gets its arguments.
        """
        self.line = f"  {name:<11} {help}"
        text = f"example:\n  animal {example}"
        added = self._subparsers.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=f"{text}\n\n{epilog}" if epilog else text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=self._run)
        return added


def build(groups: Mapping[str, Sequence[ModuleType]]) -> Parser:
    """Builds the parser.

    Args:
        groups: The modules of the commands by the title of their group.
    """
    parser = Parser(prog="animal")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    sections = []
    for title, modules in groups.items():
        lines = [f"{title}:"]
        for module in modules:
            commands = Commands(subparsers, module.run)
            module.add(commands)
            lines.append(commands.line)
        sections.append("\n".join(lines))
    parser.overview = "\n\n".join([_OVERVIEW, *sections, _EPILOG])
    return parser
