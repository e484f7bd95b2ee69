"""Which part of the library may import which."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "pipeline"
LAYERS = [  # nothing imports what stands above it
    {"cli"},
    {"ingest", "resize", "split", "augment", "train", "tune", "evaluate", "register", "serve"}
    | {"predict", "export", "monitor", "app"},
    {"networks", "sources"},
    {"dataset"},
    {"inference", "core"},
]
LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def imports(path):
    """Full names of all that a file imports, at its top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms(path):
    """The folders of ours that a file imports from."""
    ours = [name.split(".") for name in imports(path)]
    return {parts[1] for parts in ours if parts[0] == "pipeline"}


def files(room):
    return sorted((SRC / room).rglob("*.py"))


def needed(*names):
    """All files of ours that some modules need, themselves included."""
    found, todo = set(), [f"pipeline.{name}" for name in names]
    while todo:
        name = todo.pop()
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            place = SRC.parent.joinpath(*parts[:end])
            for path in (place.with_suffix(".py"), place / "__init__.py"):
                if path.is_file() and path not in found:
                    found.add(path)
                    todo += [name for name in imports(path) if name.split(".")[0] == "pipeline"]
    return found


def test_every_folder_has_a_layer():
    assert {path.name for path in SRC.iterdir() if (path / "__init__.py").exists()} == set(LEVELS)
    assert {path.name for path in SRC.glob("*.py")} == {"__init__.py"}


@pytest.mark.parametrize("room", sorted(LEVELS))
def test_a_folder_imports_nothing_that_stands_above_it(room):
    for path in files(room):
        above = {other for other in rooms(path) if LEVELS[other] < LEVELS[room]}
        assert not above, f"{path.relative_to(SRC)} imports {above}"


def test_what_a_version_carries_imports_nothing_else_of_the_project():
    for path in files("inference"):
        assert rooms(path) <= {"inference"}, path.relative_to(SRC)


def test_core_imports_nothing_else_of_the_project():
    for path in files("core"):
        assert rooms(path) <= {"core"}, path.relative_to(SRC)


def test_stages_and_commands_do_not_import_each_other_in_a_circle():
    below = {room: set().union(*map(rooms, files(room))) & LAYERS[1] - {room} for room in LAYERS[1]}
    while free := {room for room, others in below.items() if not others & set(below)}:
        below = {room: others for room, others in below.items() if room not in free}
    assert not below


@pytest.mark.parametrize(
    "name",
    [
        *("core", "inference", "dataset", "sources", "ingest", "resize", "split", "augment"),
        *("register", "predict", "serve", "monitor", "app"),
    ],
)
def test_tensorflow_is_loaded_by_nothing_that_builds_no_network(name):
    modules = [".".join(p.relative_to(SRC).with_suffix("").parts) for p in files(name)]
    for path in needed(*modules):
        heavy = {module.split(".")[0] for module in imports(path)} & {"tensorflow", "keras"}
        assert not heavy, f"{path.relative_to(SRC)} imports {heavy}"
