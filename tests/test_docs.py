"""What README and docs name is there: files, headings, commands and their options."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(page):
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    text = FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)} links {target}"
        assert not anchor or anchor in anchors(file), f"{name(page)} links {target}"


def commands():
    """Each use of one of our commands in a block of shell lines, with its page."""
    for page in PAGES:
        for language, block in FENCE.findall(page.read_text()):
            if language in ("sh", "bash", "console"):
                for line in block.replace("\\\n", " ").splitlines():
                    for part in re.split(r"&&|\||;|>", line.split(" #")[0]):
                        words = shlex.split(part.strip().removeprefix("$ "))
                        if words[:1] == ["animal"] and len(words) > 1:
                            yield name(page), words[1:]


def test_documented_command_lines_can_be_parsed(capsys):
    used = list(commands())
    assert len(used) > 20, "the blocks of README and docs are no longer read"
    parser = cli.parser.build(cli.GROUPS)
    for page, words in used:
        try:
            parser.parse_args(words)
        except SystemExit as end:
            message = f"{page}: animal {shlex.join(words)}: {capsys.readouterr().err}"
            assert not end.code, message  # --help ends with 0


def test_the_reference_has_every_line_of_params_and_every_option(tmp_path):
    subprocess.run([sys.executable, ROOT / "docs/reference.py", tmp_path], check=True)
    settings = (tmp_path / "settings.md").read_text()
    for section, lines in YAML(typ="safe").load(ROOT / "params.yaml").items():
        table = settings.split(f"\n## {section}\n")[1].split("\n## ")[0]
        rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| ", table, re.MULTILINE))
        assert list(rows) == list(lines)
        values = {name: YAML(typ="safe").load(rows[name].strip("`")) for name in rows if rows[name]}
        assert values.items() <= lines.items(), section
    options = (tmp_path / "options.md").read_text()
    helps = dict(re.findall(r"\n### animal (\w+)\n\n```text\n(.*?)\n```", options, re.DOTALL))
    listed = re.findall(r"^\| `animal (\w+)` \|", (ROOT / "docs/commands.md").read_text(), re.M)
    assert list(helps) == listed
    for page, words in commands():
        for word in words[1:]:
            if word.startswith("--"):
                assert word.split("=")[0] in helps[words[0]], f"{page}: {word}"
