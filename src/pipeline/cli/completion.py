"""`animal completion`: prints a script that lets the shell complete commands and options."""

import argparse

from pipeline.cli import parser


def add(commands: parser.Commands) -> None:
    completion = commands.add_parser(
        "completion",
        help="print a script that lets the shell complete commands and options",
        example="completion bash > ~/.local/share/bash-completion/completions/animal",
        epilog='For zsh: animal completion zsh > "${fpath[1]}/_animal". Then start a new shell.',
    )
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh", "fish"])


def run(arguments: argparse.Namespace) -> None:
    import shtab

    from pipeline import cli

    print(shtab.complete(parser.build(cli.GROUPS), arguments.shell))
