"""What the ingest stage accepts, refuses and reports, by the params."""

import hashlib
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import staged
from PIL import Image

from pipeline.core import atomic
from pipeline.sources.feedback import Feedback


@pytest.fixture
def ingest(collection, tmp_path):
    """Runs the stage on the collection and gives the manifest and the quarantine."""

    def ingest(**lines):
        lines = {f"ingest.{name}": value for name, value in lines.items()}
        lines = {"ingest.source": str(collection), "ingest.min_per_species": 4} | lines
        staged.run("ingest", tmp_path, lines)
        quarantine = pd.read_csv(tmp_path / "reports/ingest/quarantine.csv")
        return pd.read_parquet(tmp_path / "data/ingested/manifest.parquet"), quarantine

    return ingest


def test_every_file_is_in_the_manifest_or_in_quarantine_and_counted(ingest, collection, tmp_path):
    owls = sorted((collection / "owl").iterdir())
    owls[0].write_bytes(owls[0].read_bytes()[:1500])
    shutil.copy(owls[1], collection / "owl" / "again.jpg")
    Image.open(owls[2]).resize((20, 20)).save(collection / "cat" / "small.png")
    manifest, quarantine = ingest()
    found = {path.relative_to(collection).as_posix() for path in collection.rglob("*.*")}
    assert set(manifest["path"]) | set(quarantine["path"]) == found
    assert not set(manifest["path"]) & set(quarantine["path"])
    assert dict(zip(quarantine["path"], quarantine["reason"], strict=True)) == {
        "owl/" + owls[0].name: "truncated",
        "owl/" + owls[1].name: "exact_duplicate",
        "cat/small.png": "too_small",
    }
    counts = pd.read_csv(tmp_path / "reports/ingest/counts.csv").set_index("species")
    assert counts["files"].to_dict() == {"cat": 7, "fish": 6, "owl": 7, "zebra": 6}
    assert counts["accepted"].to_dict() == {"cat": 6, "fish": 6, "owl": 5, "zebra": 6}
    seen = pd.read_parquet(tmp_path / "data/ingested/appearance.parquet")
    assert set(seen["photo"]) == set(manifest["photo"])
    score = json.loads((tmp_path / "reports/ingest/shortcut.json").read_text())
    assert score["photos"] == 23
    assert score["guess"] == pytest.approx(6 / 23)


def test_species_are_renamed_merged_and_dropped(ingest):
    manifest, quarantine = ingest(labels={"zebra": "horse", "fish": "owl", "cat": None})
    assert manifest["species"].value_counts().to_dict() == {"owl": 12, "horse": 6}
    assert set(manifest.loc[manifest["species"] == "horse", "path"].str[:5]) == {"zebra"}
    assert quarantine["path"].str.startswith("cat/").all()


def test_a_detector_that_is_missing_is_reported_before_photos_are_read(ingest, capsys, tmp_path):
    detector = "data/detectors/none.onnx"
    with pytest.raises(SystemExit, match=f"there is no detector {detector}"):
        ingest(find=["motion", "detector"], detector=detector)
    assert "inspect" not in capsys.readouterr().err
    assert not (tmp_path / ".cache/inspections").exists(), "photos were read before"
    ingest(find=["motion"], detector=detector)
    assert (tmp_path / ".cache/inspections").exists()


def test_corrections_are_heeded_and_counted(ingest, tmp_path, capsys):
    """One photo of a cat shows an owl, one of a fish nothing; the files stay where they are."""
    manifest, _ = ingest()
    photo = manifest.drop_duplicates("species").set_index("species")["photo"]
    lines = [f"{photo['cat']},cat,owl,ann,2026-11-28", f"{photo['fish']},fish,,ann,2026-11-28"]
    list_ = tmp_path / "data/corrections.csv"
    list_.write_text("photo,was,is,who,when\n" + "\n".join(lines) + "\n")
    assert "corrections.csv" not in capsys.readouterr().out
    corrected, quarantine = ingest()
    assert "lines of data/corrections.csv: 2 applied\n" in capsys.readouterr().out
    assert corrected["species"].value_counts().to_dict() == {
        "owl": 7,
        "zebra": 6,
        "cat": 5,
        "fish": 5,
    }
    assert corrected.set_index("photo")["path"][photo["cat"]].startswith("cat/")
    assert quarantine["reason"].tolist() == ["corrected"]
    card = (tmp_path / "reports/ingest/index.html").read_text()
    assert "<h2>Labels corrected</h2>" in card and "cat -&gt; owl" in card
    list_.write_text(list_.read_text() + "0123,cat,owl,,\n")
    with pytest.raises(SystemExit, match=r"data/corrections.csv, line 4: no photo"):
        ingest()


def test_flags_refuse_photos_only_if_params_name_them(ingest, collection):
    path = sorted((collection / "cat").iterdir())[0]
    path.rename(path.with_suffix(".png"))
    manifest, quarantine = ingest()
    assert manifest.loc[manifest["flags"] != "", "flags"].str.contains("wrong_extension").sum() == 1
    assert quarantine.empty
    manifest, quarantine = ingest(reject=["wrong_extension"])
    assert quarantine["reason"].tolist() == ["wrong_extension"]
    assert len(manifest) == 23


def test_near_duplicates_are_grouped_as_far_as_params_say(ingest, collection):
    path = sorted((collection / "fish").iterdir())[0]
    Image.open(path).rotate(2).save(collection / "fish" / "near.jpg")

    def pair(bits):
        manifest, _ = ingest(near_duplicate_bits=bits)
        return manifest[manifest["path"].isin(["fish/near.jpg", f"fish/{path.name}"])]

    one, other = pair(0)["phash"].tolist()
    apart = (one ^ other).bit_count()
    assert 1 < apart <= 16
    assert pair(apart)["group"].nunique() == 1, "pictures no further apart stay together"
    assert pair(apart - 1)["group"].nunique() == 2


def test_species_with_too_few_photos_stop_the_run_before_there_is_a_manifest(
    ingest, collection, tmp_path
):
    for path in sorted((collection / "owl").iterdir())[3:]:
        path.unlink()
    with pytest.raises(SystemExit, match=r"too few good photos of owl \(3\)"):
        ingest()
    assert not (tmp_path / "data/ingested/manifest.parquet").exists()
    assert len(ingest(min_per_species=3)[0]) == 21


def archived(collection, folder):
    """The collection as a zip, and the lines of params that name it."""
    source = shutil.make_archive(str(folder / "photos"), "zip", collection)
    return {"ingest.source": source, "ingest.min_per_species": 4}


@pytest.mark.parametrize("listed", [True, False], ids=["after a run", "in a fresh clone"])
def test_a_photo_that_somebody_put_among_the_gathered_ones_stays(collection, tmp_path, listed):
    lines = archived(collection, tmp_path)
    mine = tmp_path / "data/ingested/files/owl/mine.jpg"
    if listed:
        staged.run("ingest", tmp_path, lines)
    else:
        mine.parent.mkdir(parents=True)
    mine.write_bytes(b"somebody's")
    with pytest.raises(SystemExit) as stop:
        staged.run("ingest", tmp_path, lines)
    assert "data/ingested/files holds owl/mine.jpg, which ingest did not put" in str(stop.value)
    assert mine.read_bytes() == b"somebody's"
    mine.unlink()
    staged.run("ingest", tmp_path, lines)
    assert len(pd.read_parquet(tmp_path / "data/ingested/manifest.parquet")) == 24


def test_what_a_killed_run_left_is_replaced(collection, tmp_path):
    lines = archived(collection, tmp_path)
    staged.run("ingest", tmp_path, lines)
    ingested = tmp_path / "data/ingested"
    written = {p: p.read_bytes() for p in ingested.rglob("*") if p.is_file()}
    # As after a kill while the next run removed the old files, or wrote one of the new ones.
    for name in ("files", *(path.name for path in ingested.iterdir() if path.is_file())):
        half = ingested / f".{name}.{atomic._HOST}-999999999-0.partial"
        half.mkdir() if name == "files" else half.write_bytes(b"half")
        if name == "files":
            (half / "0.jpg").write_bytes(b"half")
    min(ingested.glob("files/*/*")).unlink()
    staged.run("ingest", tmp_path, lines)
    assert {p: p.read_bytes() for p in ingested.rglob("*") if p.is_file()} == written


def test_decisions_come_beside_and_before_the_source(ingest, collection, tmp_path, capsys):
    cats, fish, owls = (
        [path.read_bytes() for path in sorted((collection / name).iterdir())]
        for name in ("cat", "fish", "owl")
    )
    feedback = Feedback(tmp_path / "data/feedback")

    def drawn(seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((64, 64)).save(file, "PNG")
        return file.getvalue()

    feedback.add(cats[0], "species", "owl", "Anna")  # the source is wrong
    feedback.add(cats[1], "species", "cat", "Anna")  # the source is right
    feedback.add(fish[0], "bad_photo", None, "Anna")
    feedback.add(owls[0], "species", "owl", "Anna")
    feedback.add(owls[0], "species", "cat", "Ben")
    new = [drawn(seed) for seed in range(7)]
    feedback.add(new[0], "species", "kitten", "Ben")
    for data in new[1:4]:
        feedback.add(data, "species", "lynx", "Ben")
    feedback.add(fish[1], "species", "kitten", "Ben")  # in the collection, and too few as well
    (feedback.folder / "photos" / "undecided.png").write_bytes(drawn(9))
    manifest, quarantine = ingest(labels={"zebra": "horse"})
    species = manifest.set_index("photo")["species"]

    def of(data):
        return species.get(hashlib.sha256(data).hexdigest())

    assert (of(cats[0]), of(cats[1])) == ("owl", "cat")
    assert {of(data) for data in (fish[0], fish[1], owls[0], new[1])} == {None}
    reasons = quarantine["reason"].value_counts().to_dict()
    assert reasons == {
        "exact_duplicate": 2,
        "people_disagree": 2,
        "bad_photo": 2,
        "too_few_yet": 6,
        "undecided": 1,
    }
    assert (
        "photos of data/feedback: 1 relabelled, 0 added, 8 left out "
        "(1 bad_photo, 1 people_disagree, 5 too_few_yet, 1 undecided)\n"
    ) in capsys.readouterr().out
    card = (tmp_path / "reports/ingest/index.html").read_text()
    titles = ["Relabelled by decisions on the page", "Left out of the decisions on the page"]
    assert all(f"<h2>{title}</h2>" in card for title in titles) and "cat -&gt; owl" in card
    row = manifest.set_index("photo").loc[hashlib.sha256(cats[0]).hexdigest()]
    assert row["path"].startswith("cat/")  # the source's row, which knows more
    feedback.add(new[4], "species", "lynx", "Ben")  # the fourth: enough
    manifest, quarantine = ingest()
    lynx = manifest[manifest["species"] == "lynx"]
    assert set(lynx["photo"]) == {hashlib.sha256(data).hexdigest() for data in new[1:5]}
    assert set(lynx["origin"]) == {"people"}
    assert len(manifest) + len(quarantine) == 24 + 11
    line = "1 relabelled, 4 added (4 of species that the collection lacked), 5 left out"
    assert line in capsys.readouterr().out
    card = (tmp_path / "reports/ingest/index.html").read_text()
    assert "<h2>Added by decisions on the page</h2>" in card


def test_labels_may_name_species_that_only_people_named(ingest, collection, tmp_path):
    feedback, data = Feedback(tmp_path / "data/feedback"), io.BytesIO()
    Image.radial_gradient("L").save(data, "PNG")
    feedback.add(data.getvalue(), "species", "kitten", "Ben")
    try:
        manifest, _ = ingest(labels={"kitten": "cat"})
    except SystemExit as error:
        raise AssertionError(error) from None
    photo = hashlib.sha256(data.getvalue()).hexdigest()
    assert manifest.set_index("photo")["species"][photo] == "cat"
    there = "the species there are: cat, fish, kitten, owl, zebra"
    with pytest.raises(SystemExit, match=f"names tiger, which nothing here shows; {there}"):
        ingest(labels={"tiger": "cat"})


def test_feedback_in_the_collection_itself_is_refused(ingest, collection):
    with pytest.raises(SystemExit, match="lies in the collection"):
        ingest(feedback=str(collection / "feedback"))
