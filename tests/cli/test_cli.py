"""The `animal` command, as one types it."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import shtab

from pipeline import cli
from pipeline.core import params


def test_help_lists_the_commands_and_loads_nothing_heavy():
    code = """
import sys
from pipeline import cli
try:
    cli.main()
except SystemExit:
    heavy = {"mlflow", "numpy", "pandas", "pydantic", "PIL"} & set(sys.modules)
    sys.exit(f"it loads {heavy}" if heavy else 0)
"""
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"use", "summary"} <= set(done.stdout.split())


def helps(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["animal", *arguments, "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    return capsys.readouterr().out


COMMANDS = {
    module.__name__.split(".")[-1]: title for title, group in cli.GROUPS.items() for module in group
}


def test_help_groups_the_commands_and_the_docs_have_the_same_table(monkeypatch, capsys):
    sections = re.split(r"(?m)^(\S.*):$", helps(monkeypatch, capsys))
    listed = dict(zip(sections[1::2], sections[2::2], strict=True))
    page = (Path(__file__).parents[2] / "docs/commands.md").read_text()
    assert list(COMMANDS) == re.findall(r"(?m)^\| `animal (\w+)` \|", page)
    for command, title in COMMANDS.items():
        (line,) = re.findall(rf"(?m)^  {command} +(.+)$", listed[title])
        assert re.search(rf"(?m)^\| `animal {command}` \| {re.escape(line)}( \(|$| \|)", page), line
        assert f"| **{title.split(' (')[0]}** | |" in page


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_it_understands(monkeypatch, capsys, command):
    (example,) = re.findall(r"(?m)^example:\n  animal (.+)$", helps(monkeypatch, capsys, command))
    arguments = shlex.split(example.split(" > ")[0])
    assert arguments[0] == command
    assert cli.parser.build(cli.GROUPS).parse_args(arguments).run


def test_a_shell_completes_commands_and_options(monkeypatch, capsys, tmp_path):
    assert cli.parser.FILE == shtab.FILE
    monkeypatch.setattr("sys.argv", ["animal", "completion", "bash"])
    cli.main()
    (tmp_path / "animal").write_text(capsys.readouterr().out)
    (tmp_path / "photo.zip").touch()

    def completed(*words):
        script = (
            f"source {tmp_path / 'animal'}; cd {tmp_path}; COMP_WORDS=({shlex.join(words)}); "
            'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_animal; echo "${COMPREPLY[@]}"'
        )
        ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        return ended.stdout.split()

    assert completed("animal", "pro") == ["promote"]
    assert "--relative-to" in completed("animal", "predict", "--rel")
    assert completed("animal", "predict", "pho") == ["photo.zip"]


def test_a_mistake_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["animal", "summary"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == "error: there are no results yet; run `dvc repro`"


@pytest.fixture
def summary(monkeypatch, tmp_path, capsys):
    """What `animal summary` prints of a test and of what the gate decided."""
    shutil.copy(RECIPES.parents[1] / "params.yaml", tmp_path)
    (tmp_path / "reports").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["animal", "summary"])

    def printed(metrics: dict, decision: dict) -> str:
        for name, content in {"metrics": metrics, "registration": decision}.items():
            (tmp_path / f"reports/{name}.json").write_text(json.dumps(content))
        cli.main()
        return capsys.readouterr().out

    return printed


def test_summary_says_why_a_version_does_not_serve(summary):
    test = {"photos": 9, "accuracy": 0.5, "standard_error": 0.1, "macro_f1": 0.5}
    metrics = {"drawn": False, "test": test | {"top3": 0.7, "log_loss": 1.5}}
    checks = [{"passed": False, "reason": "too slow"}, {"passed": True, "reason": "good enough"}]
    decision = {"version": 1, "outcome": "registered; does not serve", "checks": checks}
    decision["champion"] = None
    printed = summary(metrics, decision)
    assert printed.startswith("\nthe last test, on 9 photos:\n"), "not what is to be learned next"
    assert "  accuracy  0.500 ± 0.100\n  macro-F1  0.500\n  top-3     0.700\n" in printed
    assert "version 1: registered; does not serve\n  FAILED: too slow\n\nNext" in printed
    assert "good enough" not in printed
    assert "animal promote 1" in printed
    assert "models:/animal/Production" not in printed, "nothing serves"
    assert "models:/animal/Production" in summary(metrics, decision | {"champion": 4})


def test_the_summary_has_intervals_what_is_worse_and_the_comparison(summary):
    test = {"photos": 9, "accuracy": 0.5, "standard_error": 0.1, "macro_f1": 0.5}
    metrics = {"drawn": False, "test": test | {"top3": 0.7, "log_loss": 1.5}}
    metrics["intervals"] = {"level": 0.95, "accuracy": {"low": 0.31, "high": 0.72}}
    slices = [("light", "day", 0.6, False), ("light", "infrared", 0.25, True)]
    names = ("facet", "slice", "accuracy", "worse")
    metrics["slices"] = [dict(zip(names, row, strict=True)) for row in slices]
    compared = {"champion": 3, "photos": 9, "difference": 0.125, "low": -0.05, "high": 0.25}
    compared |= {"gained": 4, "lost": 1, "p_value": 0.375}
    decision = {"version": 4, "outcome": "promoted", "checks": [], "champion": 4}
    decision["comparison"] = compared
    printed = summary(metrics, decision)
    assert "  accuracy  0.500  0.310 to 0.720 (95 %)\n  macro-F1  0.500\n" in printed
    assert "worse than chance explains on light: infrared (0.250)\n" in printed
    assert "against version 3 on 9 photos: accuracy +0.1250 (-0.0500 to +0.2500)" in printed
    assert "4 photos gained, 1 lost (McNemar's test: p = 0.38)" in printed


RECIPES = Path(__file__).parents[2] / "data" / "sources"


@pytest.fixture
def use(monkeypatch, tmp_path):
    """Types `animal use` in a folder with params and recipes; gives `ingest.source` after it."""
    shutil.copy(RECIPES.parents[1] / "params.yaml", tmp_path)
    shutil.copytree(RECIPES, tmp_path / "data" / "sources")
    monkeypatch.chdir(tmp_path)

    def typed(source):
        monkeypatch.setattr("sys.argv", ["animal", "use", source])
        cli.main()
        return params.load().ingest.source

    return typed


@pytest.mark.parametrize("recipe", sorted(path.name for path in RECIPES.glob("*.yaml")))
def test_every_recipe_can_be_used(use, recipe):
    assert use(f"data/sources/{recipe}") == f"data/sources/{recipe}"


def test_recipe_with_a_mistake_is_not_used(use, tmp_path):
    before = params.load().ingest.source
    (tmp_path / "mine.yaml").write_text("kind: archive\narchives: []\n")
    with pytest.raises(SystemExit) as stopped:
        use("mine.yaml")
    assert "mine.yaml line 2: archives" in str(stopped.value.code)
    assert params.load().ingest.source == before
