"""A project in which `dvc repro` is a script of the tests, which takes no minutes."""

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
# `python -m dvc` finds this file first, for it lies in the current folder.
_DVC = """
import json, re, sys, time
from pathlib import Path

assert sys.argv[1] == "repro", sys.argv
print("Stage 'ingest' didn't change, skipping", flush=True)
if sys.argv[2:] == ["ingest"]:
    source = re.search("source: (\\S+)", Path("params.yaml").read_text())[1]
    described = {"source": source, "form": "class_folders", "tables": []}
    Path("reports/ingest/source.json").write_text(json.dumps(described))
    sys.exit(0)
print("Running stage 'resize':\\n> python -m stages.resize", flush=True)
while not Path("go").exists():
    time.sleep(0.02)
print("resize: 7 of 9 photos, 3/s, 1 s left", flush=True)
print("Running stage 'split':", flush=True)
if Path("go").read_text() == "wrong":
    print("error: too few good photos of owl", flush=True)
    sys.exit(255)
for stage in ("augment", "train", "tune", "evaluate", "register"):
    print(f"Running stage '{stage}':", flush=True)
"""
# What ingest found: enough cats, few dogs, and files that are none of them.
_REPORT = {
    "index.html": "<h1>Data card</h1>",
    "counts.csv": "species,files,accepted,exact_duplicate\n(none),1,0,0\ncat,42,40,2\ndog,7,7,0\n",
    "quarantine.csv": (
        "path,species,reason,detail\ncat/b.jpg,cat,exact_duplicate,\n"
        "cat/c.jpg,cat,exact_duplicate,\n<i>notes.txt,,outside_class_folders,\n"
    ),
    "metadata.csv": "file,taken_for,used_for,why_not,names,names_that_fit,columns\n"
    "old.csv,table,,no column names a file that is here,,,\n",
}


def make(folder: Path) -> Path:
    """Makes one, and returns its folder."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(REPOSITORY / name, folder / name)
    (folder / "dvc.py").write_text(_DVC)
    (folder / "reports" / "ingest").mkdir(parents=True)
    for name, text in _REPORT.items():
        (folder / "reports" / "ingest" / name).write_text(text)
    return folder
