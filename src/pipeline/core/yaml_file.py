"""Reads a YAML file into a typed section, and names the line of each mistake."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.core.errors import UserError


class Section(BaseModel):
    """A part of a YAML file: no unknown key, no value of another type, no change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def parse(path: Path, into: type[Section]) -> Any:
    """Reads a YAML file into a typed section.

    Args:
        path: The file, in UTF-8.
        into: The section's class.

    Returns:
        An object of this class.

    Raises:
        UserError: The file is missing, is not valid YAML, or has an unknown key or an impossible
            value; one line a mistake, each naming the line of the file.
    """
    try:
        written = YAML().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no {path}; run this from the folder that holds it") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where} is not valid YAML: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a text in UTF-8: {error}") from None
    if not isinstance(written, CommentedMap):
        raise UserError(f"{path} has no `key: value` lines")
    try:
        return into.model_validate(_plain(written))
    except ValidationError as error:
        mistakes = [_explain(path, written, into, e) for e in error.errors()]
        raise UserError("\n".join(mistakes)) from None


def _plain(node: Any) -> Any:
    """Returns ruamel's commented containers and scalars as plain Python ones."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for plain in (bool, int, float, str):
        if isinstance(node, plain):
            return plain(node)
    return node


def _explain(path: Path, written: CommentedMap, into: type[Section], error: Any) -> str:
    """Returns a sentence for one of pydantic's errors, with the line of the file it is about."""
    node, line = written, 1
    for step in error["loc"]:
        if isinstance(node, CommentedMap) and step in node:
            line = node.lc.key(step)[0] + 1
            node = node[step]
        elif isinstance(node, CommentedSeq):
            line = node.lc.item(step)[0] + 1
            node = node[step]
    name = ".".join(str(step) for step in error["loc"])
    if error["type"] == "missing":
        return f"{path} line {line}: {name} is missing"
    if error["type"] == "extra_forbidden":
        valid = _valid_keys(into, error["loc"])
        sentence = f"{path} line {line}: unknown parameter `{name}`; valid: {', '.join(valid)}"
        if meant := _closest(str(error["loc"][-1]), valid):
            prefix = ".".join(str(step) for step in error["loc"][:-1])
            sentence += f". Did you mean `{f'{prefix}.{meant}' if prefix else meant}`?"
        return sentence
    if error["type"] == "value_error":  # raised by a validator above, which says it all
        where = f" line {line}: {name}" if name else ""
        return f"{path}{where}: {error['ctx']['error']}"
    allowed = error["msg"].replace("Input should", "it should")
    return f"{path} line {line}: {name} is {error['input']!r}; {allowed}"


def _valid_keys(into: type[Section], loc: tuple) -> list[str]:
    """Returns the keys of the section that `loc` points into."""
    kind: Any = into
    for step in loc[:-1]:
        if get_args(kind):  # a list or a dict: what it holds
            kind = get_args(kind)[-1]
        else:
            fields = kind.model_fields.items()
            kind = next(field.annotation for name, field in fields if step in (name, field.alias))
    return [field.alias or name for name, field in kind.model_fields.items()]


def _closest(key: str, valid: list[str]) -> str | None:
    """Returns the key that was probably meant: spelled alike, or abbreviated (`lr`)."""
    initials = ["".join(word[:1] for word in name.split("_")) for name in valid]
    if key in initials:
        return valid[initials.index(key)]
    return next(iter(get_close_matches(key, valid, n=1)), None)
