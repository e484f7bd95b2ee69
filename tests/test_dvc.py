"""What dvc.yaml says of the stages, against what their code does."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.core.params import Params

ROOT = Path(__file__).parents[1]
DVC = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
STAGES = list(DVC["stages"])
SECTIONS = [field.alias or name for name, field in Params.model_fields.items()]


def module_file(name):
    """The file of a module of ours, or None."""
    place = ROOT / "src" / Path(*name.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def tree(path):
    return ast.parse(path.read_text(), str(path))


def imported(path):
    """Names of all that a file imports, at its top or inside functions, and of their parents."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; teach this test about them"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names if name.split(".")[0] == "pipeline"]
    return {".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)}


def sources(script):
    """Files of ours that a script needs, itself included."""
    needed, todo = set(), [script]
    while todo:
        path = todo.pop()
        if path not in needed:
            needed.add(path)
            todo += filter(None, map(module_file, imported(path)))
    return needed


def is_code(dependency):
    return dependency.startswith(("src/", "stages/"))


def listed(stage, kind):
    return [item if isinstance(item, str) else next(iter(item)) for item in stage.get(kind, [])]


def reads(node, name):
    """Params read from the variable `name`: `section.key`, `section`, or `*` if passed on whole."""
    found, inner = set(), set()
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Attribute):
            section = one.value
            if isinstance(section.value, ast.Name) and section.value.id == name:
                whole = one.attr.startswith(
                    "model_"
                )  # pydantic's own, as in `p.augment.model_dump`
                found.add(section.attr if whole else f"{section.attr}.{one.attr}")
                inner |= {id(section), id(section.value)}
    for one in ast.walk(node):
        attribute = isinstance(one, ast.Attribute) and id(one) not in inner
        if attribute and isinstance(one.value, ast.Name) and one.value.id == name:
            found.add(one.attr)
            inner.add(id(one.value))
    for one in ast.walk(node):
        loaded = isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Load)
        if loaded and id(one) not in inner:
            found.add("*")
    return {read.replace("register_", "register") for read in found}


def takes_all_params(function):
    """Names of a function's arguments that are annotated as all params."""
    arguments = [*function.args.args, *function.args.kwonlyargs]
    return [
        a.arg for a in arguments if a.annotation and ast.unparse(a.annotation).endswith("Params")
    ]


def params_read(script):
    """All params that a stage reads, in its script or in functions that get all params."""
    found = reads(tree(script), "p")
    if "*" in found:
        for path in sources(script) - {script, ROOT / "src/pipeline/core/params.py"}:
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.FunctionDef):
                    for name in takes_all_params(node):
                        found |= reads(node, name)
    return found - {"*"}


def covered(read, listing):
    return read in listing or read.split(".")[0] in listing


def test_order_of_the_stages():
    assert STAGES == [
        "ingest",
        "resize",
        "split",
        "augment",
        "train",
        "tune",
        "evaluate",
        "register",
    ]


def test_every_stage_has_its_script_and_runs_it():
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert scripts - {"__init__"} == set(STAGES)
    for name, stage in DVC["stages"].items():
        assert stage["cmd"] == f"python -m stages.{name}"
        assert stage["desc"]


def test_another_python_than_the_projects_is_one_sentence():
    """-S leaves out all that is installed: pandas, and the project itself."""
    command = [sys.executable, "-S", "-m", "stages.split"]
    bare = {"PATH": os.environ["PATH"]}
    ended = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: the project is not installed for {sys.executable}")
    assert "run `. .venv/bin/activate`" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_imports_lies_in_what_it_lists_and_nothing_listed_is_foreign_to_it(name):
    deps = listed(DVC["stages"][name], "deps")
    code = [ROOT / dep for dep in deps if is_code(dep)]
    needed = sources(ROOT / "stages" / f"{name}.py") - {ROOT / "src/pipeline/__init__.py"}
    assert [path for path in needed if not any(path.is_relative_to(dep) for dep in code)] == []
    assert [dep for dep in code if not any(path.is_relative_to(dep) for path in needed)] == []
    assert len(set(deps)) == len(deps)


def test_the_file_that_no_stage_lists_does_nothing():
    (docstring,) = tree(ROOT / "src/pipeline/__init__.py").body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)


@pytest.mark.parametrize("name", STAGES)
def test_every_param_a_stage_reads_is_listed_and_no_other(name):
    listing = set(listed(DVC["stages"][name], "params"))
    read = {r for r in params_read(ROOT / "stages" / f"{name}.py") if r.split(".")[0] != "parallel"}
    assert {r for r in read if not covered(r, listing)} == set()
    unread = {
        line
        for line in listing
        if line not in read and ("." in line or not any(r.split(".")[0] == line for r in read))
    }
    assert unread == set()


@pytest.mark.parametrize("name", STAGES)
def test_listed_params_exist(name):
    for line in listed(DVC["stages"][name], "params"):
        section, _, key = line.partition(".")
        field = next(f for n, f in Params.model_fields.items() if section in (n, f.alias))
        assert not key or key in field.annotation.model_fields


def test_every_section_is_used_by_a_stage():
    used = {r.split(".")[0] for name in STAGES for r in params_read(ROOT / f"stages/{name}.py")}
    assert used == set(SECTIONS)


def test_params_file_has_the_sections_in_the_order_of_the_stages():
    written = list(YAML(typ="safe").load((ROOT / "params.yaml").read_text()))
    assert written == SECTIONS
    assert [name for name in written if name in STAGES] == [n for n in STAGES if n in written]


def test_data_dependencies_come_from_earlier_stages():
    given = {"${ingest.source}", "${ingest.feedback}", "data/corrections.csv"}
    made = {"data/detectors", "data/weights"}  # what a person puts there, beside a README.md
    needed = {*made, "data/corrections.csv", "data/feedback"}
    for copy in ("tests/e2e/conftest.py", "bench/project.py"):  # a run in a copy needs them too
        (copied,) = re.findall(r"(?ms)^COPIED = \((.*?)^\)", (ROOT / copy).read_text())
        assert needed <= set(re.findall(r'"(.*?)"', copied)), copy
    for name, stage in DVC["stages"].items():
        for dep in listed(stage, "deps"):
            if not is_code(dep) and dep not in given:
                places = [dep, *map(str, Path(dep).parents)]
                assert any(place in made for place in places), f"{name} needs {dep}"
        outs = listed(stage, "outs") + listed(stage, "metrics")
        assert not made & set(outs)
        made |= set(outs)


@pytest.mark.parametrize("name", STAGES)
def test_paths_in_a_script_are_declared(name):
    """What a script names below data/, models/ or reports/ is a dependency or an output of it."""
    stage = DVC["stages"][name]
    declared = [path for kind in ("deps", "outs", "metrics") for path in listed(stage, kind)]
    for node in ast.walk(tree(ROOT / "stages" / f"{name}.py")):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and text.startswith(("data/", "models/", "reports/")):
            places = [text, *map(str, Path(text).parents)]
            inside = any(place in declared for place in places)
            assert inside or any(d.startswith(f"{text}/") for d in declared), text


@pytest.mark.parametrize("name", STAGES)
def test_scripts_fit_on_a_page_and_run_under_the_timer(name):
    text = (ROOT / "stages" / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 70
    assert text.endswith('if __name__ == "__main__":\n    stage_timer.run(main)\n')


@pytest.mark.slow
def test_no_stage_without_a_network_nor_the_command_loads_tensorflow_when_it_is_imported():
    """In an interpreter of its own, one after the other; the first that loads it is told."""
    code = """
import runpy, sys
for name in sys.argv[1:]:
    if name.endswith(".py"):
        runpy.run_path(name, run_name="imported")
    else:
        __import__(name)
    loaded = {"tensorflow", "keras", "torch"} & set(sys.modules)
    if loaded:
        sys.exit(f"{name} loads {loaded}")
"""
    of_keras = ("train", "tune", "evaluate")
    scripts = [f"stages/{name}.py" for name in STAGES if name not in of_keras]
    modules = ["pipeline.cli", "pipeline.inference.mlflow_model"]
    command = [sys.executable, "-c", code, *modules, *scripts]
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["ingest", "resize", "split", "augment", "register"])
def test_light_stages_never_import_keras_even_inside_functions(name):
    for path in sources(ROOT / "stages" / f"{name}.py"):
        for node in ast.walk(tree(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            assert not {n.split(".")[0] for n in names} & {"tensorflow", "keras"}, path
