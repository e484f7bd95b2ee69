"""Every private interface of another package that `src/` uses, with the reason.

Private ones may change with any release. A name with an underscore is private, and so is a module
that its package does not document. Whoever needs another one adds it here, with the reason, and a
test that fails loudly when it changes.
"""

import ast
import re
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "pipeline"
DOCUMENTED = {"_asdict", "_replace", "_fields", "_make"}  # of named tuples
INTERNAL = (  # modules that their packages do not document
    "keras.src",
    "mlflow.protos",
    "mlflow.pyfunc.scoring_server",
    "mlflow.store",
    "mlflow.utils",
)
_MODULE = rf"({'|'.join(map(re.escape, INTERNAL))})[\w.]*"
MENDED = ("core/moved_project.py", "tables of mlflow.db")  # stands in SQL, which is not looked at
ALLOWED = {
    ("sources/recipes/inaturalist.py", "_content"): """the only way to hand on a body of which no
        more was read than a limit; tests/sources/recipes""",
    ("inference/scoring_server.py", "mlflow.pyfunc.scoring_server"): """MLflow has no documented
        place to answer a malformed body; tests/inference/test_scoring_server.py""",
    ("inference/scoring_server.py", "mlflow.protos.databricks_pb2"): """the error codes of an
        MlflowException stand nowhere else""",
    ("inference/mlflow_model.py", "mlflow.protos.databricks_pb2"): """the error codes of an
        MlflowException stand nowhere else""",
    (
        "register/packaging.py",
        "mlflow.utils.requirements_utils",
    ): "a logger, made quiet",
    ("core/tracking.py", "mlflow.store.db.utils"): "a logger, made quiet",
    MENDED: """MLflow writes absolute paths and has no command to change them; the test below, and
        tests/core/test_moved_project.py""",
}


def imported(tree: ast.AST) -> set[str]:
    """Full names of all that is imported."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if not name.startswith("pipeline")}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def own_names(trees: list[ast.AST]) -> set[str]:
    """Private names that this project gives to something itself."""
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def private(tree: ast.AST, own: set[str]) -> set[str]:
    """Private interfaces of others that a file uses."""
    used = set()
    for name in imported(tree):
        internal = any(name == module or name.startswith(f"{module}.") for module in INTERNAL)
        if any(map(is_private, name.split("."))) or (internal and name.rsplit(".")[-1].islower()):
            used.add(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            module = isinstance(node.value, ast.Name) and node.value.id in imported(tree)
            used.add(ast.unparse(node) if module else node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            used |= {node.value} if re.fullmatch(_MODULE, node.value) else set()
    return used


@pytest.mark.slow
def test_every_private_interface_has_a_reason_and_every_reason_an_interface():
    trees = {path.relative_to(SRC): ast.parse(path.read_text()) for path in SRC.rglob("*.py")}
    own = own_names(list(trees.values()))
    used = {(path.as_posix(), name) for path, tree in trees.items() for name in private(tree, own)}
    anywhere = {name for file, name in ALLOWED if file == "*"}
    unexplained = {(file, name) for file, name in used if name not in anywhere} - ALLOWED.keys()
    assert not unexplained, "these may change with any release; see the head of this file"
    used |= {("*", name) for _, name in used}
    assert ALLOWED.keys() - used == {MENDED}, "a reason for what is no longer used"


def test_the_tables_of_mlflow_that_are_mended_exist(tmp_path, monkeypatch):
    import sqlite3

    import challengers

    from pipeline.core import moved_project

    challengers.store(tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as records:
        for table, column in moved_project.PATHS:
            columns = {row[1] for row in records.execute(f"PRAGMA table_info({table})")}
            assert column in columns, f"MLflow's table {table} has no {column} any more"


def test_a_new_one_is_noticed():
    code = "import keras; from mlflow.utils import x; keras._y; model._z; row._replace(); self._own"
    names = {"mlflow.utils", "mlflow.utils.x", "keras._y", "_z"}
    assert private(ast.parse(code), {"_own"}) == names
