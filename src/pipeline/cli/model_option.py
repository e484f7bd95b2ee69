"""The option that names a recogniser, the same in every command; `versions.locate` reads it."""

import argparse


def add(command: argparse.ArgumentParser, default: str | None = "Production") -> None:
    """Adds `--model` to a command.

    Args:
        command: Its parser.
        default: What it is where nobody names one. Defaults to the version that serves.
    """
    command.add_argument(
        "--model",
        default=default,
        help="version, stage, alias or URI of a registered model, or a folder such as models/final "
        f"(default: {default or 'the last test'})",
    )
