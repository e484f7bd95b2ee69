"""Writes the reference pages of the website: the lines of params.yaml, and the options of commands.

`make site` runs it before it builds the pages:

    python docs/reference.py [FOLDER]
"""

import contextlib
import io
import os
import sys
from pathlib import Path

from pipeline import cli
from pipeline.app import params_lines

DOCS = Path(__file__).parent


def settings() -> str:
    """Returns a page with a table for each section of params.yaml."""
    page = ["# Settings", "", "Each line of `params.yaml`: its value as it comes, and its comment."]
    section = ""
    for line in params_lines.listed(DOCS.parent / "params.yaml"):
        part, key = line["name"].split(".")
        if part != section:
            section = part
            page += ["", f"## {part}", "", "| line | value | |", "| --- | --- | --- |"]
        value, comment = (line[name].replace("|", "\\|") for name in ("value", "help"))
        shown = f"`{value}`" if line["editable"] and value else ""
        page.append(f"| `{key}` | {shown} | {comment} |")
    return "\n".join([*page, ""])


def options() -> str:
    """Returns a page with the help of each command."""
    page = ["# Options", "", "What `animal COMMAND --help` prints."]
    parser = cli.parser.build(cli.GROUPS)
    for title, modules in cli.GROUPS.items():
        page += ["", f"## {title.split(' (')[0]}"]
        for command in (module.__name__.rpartition(".")[2] for module in modules):
            text = io.StringIO()
            with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
                parser.parse_args([command, "--help"])
            page += ["", f"### animal {command}", "", f"```text\n{text.getvalue().strip()}\n```"]
    return "\n".join([*page, ""])


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"  # of the help
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    (folder / "settings.md").write_text(settings())
    (folder / "options.md").write_text(options())
