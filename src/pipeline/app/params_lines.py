"""Shows params.yaml line by line with its comments, and changes one line at a time."""

import re
import tempfile
from pathlib import Path
from typing import Any

from pipeline.core import params
from pipeline.core.atomic import atomic_write
from pipeline.core.errors import UserError

_SECTION = re.compile(r"^(\w+):\s*$")
# A value ends at a comment or the line's end; flow collections and plain scalars stand on one line.
_LINE = re.compile(r"^(  (\w+):)(?: (.*?))?((?<=\s)#.*)?$")
_COMMENT = re.compile(r"^ +# ?(.*)$")
_MAX_VALUE = 2_000  # characters


def listed(path: Path = params.PATH) -> list[dict[str, Any]]:
    """Lists the lines of a params file.

    Args:
        path: The file. Defaults to `params.yaml` in the current folder.

    Returns:
        For each: `name` (`train.epochs`), `value` as it is written, `help`, its comments, `at`, the
        number of lines before it, and `editable`: not where the value stands on lines of its own,
        as `tune.space` does.
    """
    lines: list[dict[str, Any]] = []
    section, above = "", []
    for at, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        comment = _COMMENT.match(line)
        if match := _SECTION.match(line):
            section, above = match[1], []
        elif comment:
            beside = len(line) - len(line.lstrip()) > 2 and lines
            (lines[-1]["help"] if beside else above).append(comment[1])
        elif section and (match := _LINE.match(line)):
            words = [*above, *([match[4][1:].strip()] if match[4] else [])]
            value = (match[3] or "").strip()
            found = {"name": f"{section}.{match[2]}", "value": value, "help": words, "at": at}
            lines.append(found | {"editable": True})
            above = []
        elif section and line.strip() and lines:
            lines[-1]["editable"] = False
    return [line | {"help": " ".join(line["help"])} for line in lines]


def change(name: str, value: str, path: Path = params.PATH) -> None:
    """Changes one line of a params file, and leaves all others and its comment as they are.

    Args:
        name: Of the line, such as `train.epochs`.
        value: As it is to be written.
        path: The file. Defaults to `params.yaml` in the current folder.

    Raises:
        UserError: There is no such line, or the value is impossible, in the sentence that a stage
            would stop with; the file is as it was then.
    """
    value = value.strip()
    if len(value) > _MAX_VALUE or not value.isprintable() or " #" in value:
        raise UserError(f"the value of {name} must stand on one line, without a comment")
    known = {line["name"]: line for line in listed(path)}
    if name not in known or not known[name]["editable"]:
        raise UserError(f"{name} cannot be changed here: edit {path.name} itself")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    match = _LINE.match(lines[known[name]["at"]])
    start = f"{match[1]} {value}" if value else match[1]
    # Comments stay in their column, as far as the value leaves room.
    padded = start.ljust(match.start(4) - 2) + "  " if match[4] else start
    lines[known[name]["at"]] = f"{padded}{match[4] or ''}\n"
    changed = "".join(lines)
    with tempfile.TemporaryDirectory() as folder:
        attempt = Path(folder, path.name)
        attempt.write_text(changed, encoding="utf-8")
        try:
            params.load(attempt)
        except UserError as error:
            raise UserError(str(error).replace(str(attempt), path.name)) from None
    with atomic_write(path) as partial:
        partial.write_text(changed, encoding="utf-8")
