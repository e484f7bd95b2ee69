import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from listed import list_files
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.dataset import near_duplicates
from pipeline.inference import decoding
from pipeline.ingest import manifest as manifests
from pipeline.split import assignment


def ingest(folder, files=None, min_side=32, max_pixels=10**7, bits=0, jobs=1, reject=()):
    files = list_files(folder) if files is None else files
    with tempfile.TemporaryDirectory() as cache:
        inspected = manifests.inspect(folder, files, max_pixels, jobs, Path(cache))
    return manifests.screen(inspected, min_side, bits, reject)


def reasons(quarantine):
    return dict(zip(quarantine["path"], quarantine["reason"], strict=True))


def save(path, size, colour=(30, 90, 150)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_good_photos_are_all_accepted(collection):
    manifest, quarantine = ingest(collection)
    assert list(manifest.columns) == list(manifests.MANIFEST)
    assert len(manifest) == 24
    assert quarantine.empty
    assert list(manifest["photo"]) == sorted(manifest["photo"])
    for row in manifest.itertuples():
        data = (collection / row.path).read_bytes()
        assert row.photo == decoding.identity(data)
        assert row.species == row.path.split("/")[0]
        assert (row.width, row.height) == Image.open(io.BytesIO(data)).size


def test_each_reason(collection):
    cat = collection / "cat"
    good = next(cat.glob("*.jpg")).read_bytes()
    (cat / "empty.jpg").write_bytes(b"")
    (cat / "text.jpg").write_bytes(b"no picture")
    (cat / "half.jpg").write_bytes(good[: len(good) // 2])
    (cat / "gone.jpg").symlink_to(collection / "nowhere.jpg")
    (cat / "folder").symlink_to(collection / "owl")
    (collection / "stray.jpg").write_bytes(good[:-2] + b"\xff\xd9stray")
    save(cat / "small.png", (31, 400))
    save(cat / "large.png", (400, 300))
    save(cat / "just.png", (32, 400), "red")
    manifest, quarantine = ingest(collection, max_pixels=100_000)
    assert reasons(quarantine) == {
        "cat/empty.jpg": "empty",
        "cat/text.jpg": "not_an_image",
        "cat/half.jpg": "truncated",
        "cat/gone.jpg": "not_a_file",
        "cat/folder": "linked_folder",
        "stray.jpg": "outside_class_folders",
        "cat/small.png": "too_small",
        "cat/large.png": "too_many_pixels",
    }
    assert len(manifest) + len(quarantine) == len(list_files(collection))
    assert "cat/just.png" in set(manifest["path"])
    given = quarantine.set_index("path")["detail"]
    assert given["cat/small.png"] == "31 x 400 px, a side below 32"
    assert given.drop(["cat/folder", "cat/gone.jpg", "stray.jpg"]).str.len().min() > 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_photo_that_may_not_be_read(collection):
    path = next((collection / "cat").iterdir())
    path.chmod(0)
    _, quarantine = ingest(collection)
    assert reasons(quarantine) == {f"cat/{path.name}": "unreadable"}


def test_of_exact_duplicates_the_first_path_is_kept(collection):
    original = sorted((collection / "cat").iterdir())[2]
    for name in ("zz.jpg", "aa.jpg", "deep/er.png"):
        copy = collection / "cat" / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(original, copy)
    manifest, quarantine = ingest(collection)
    assert reasons(quarantine) == {
        path: "exact_duplicate"
        for path in ("cat/zz.jpg", "cat/deep/er.png", f"cat/{original.name}")
    }
    assert "cat/aa.jpg" in set(manifest["path"])
    assert quarantine["detail"].eq("the same file as cat/aa.jpg").all()


def test_same_file_under_two_species_keeps_neither(collection):
    original = sorted((collection / "cat").iterdir())[0]
    shutil.copy(original, collection / "owl" / "x.jpg")
    shutil.copy(original, collection / "cat" / "again.jpg")
    manifest, quarantine = ingest(collection)
    assert reasons(quarantine) == dict.fromkeys(
        ["cat/again.jpg", f"cat/{original.name}", "owl/x.jpg"], "two_species"
    )
    assert quarantine["detail"].str.contains("cat, owl").all()
    assert decoding.identity(original.read_bytes()) not in set(manifest["photo"])


def test_comma_in_the_name_of_a_species(collection):
    (collection / "cat").rename(collection / "cat, domestic")
    manifest, quarantine = ingest(collection)
    assert quarantine.empty
    assert (manifest["species"] == "cat, domestic").sum() == 6


def test_near_duplicates_share_a_group_named_after_the_smallest_photo(collection):
    pictures = sorted((collection / "owl").iterdir())[:2]
    for path in pictures:
        image = Image.open(path)
        smaller = image.resize((image.width * 9 // 10, image.height * 9 // 10))
        smaller.save(path.with_name(f"near-{path.name}"), quality=70)
    manifest, _ = ingest(collection, bits=6)
    for path in pictures:
        pair = manifest[manifest["path"].isin([f"owl/{path.name}", f"owl/near-{path.name}"])]
        assert len(pair) == 2
        assert pair["group"].nunique() == 1
    smallest = manifest.groupby("group")["photo"].min()
    assert (smallest == smallest.index).all()
    assert len(smallest) <= 24


def test_pictures_share_a_group_if_they_are_no_further_apart_than_params_say(collection):
    path = sorted((collection / "fish").iterdir())[0]
    Image.open(path).rotate(2).save(collection / "fish" / "turned.jpg")

    def pair(bits):
        manifest, _ = ingest(collection, bits=bits)
        return manifest[manifest["path"].isin([f"fish/{path.name}", "fish/turned.jpg"])]

    one, other = pair(0)["phash"].tolist()
    apart = (one ^ other).bit_count()
    assert 1 < apart <= 16
    assert pair(apart)["group"].nunique() == 1
    assert pair(apart - 1)["group"].nunique() == 2


def test_hashes_stay_exact_beside_refused_files(collection):
    (collection / "cat" / "empty.jpg").write_bytes(b"")
    save(collection / "cat" / "black.png", (64, 64), "black")
    manifest, _ = ingest(collection)
    for row in manifest.itertuples():
        grey = decoding.inspect((collection / row.path).read_bytes())[2]
        assert row.phash == near_duplicates.phash(grey)
    files = list_files(collection)
    few = files[files["path"].isin(["cat/black.png", "cat/empty.jpg"])]
    assert ingest(collection, few)[0]["phash"].tolist() == [0]


def test_nothing_good_at_all(tmp_path):
    for name in ("cat/1.jpg", "owl/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    manifest, quarantine = ingest(tmp_path, bits=6)
    assert manifest.empty
    assert list(manifest.columns) == list(manifests.MANIFEST)
    counts = manifests.count(manifest, quarantine)
    assert counts["files"].tolist() == [1, 1]
    with pytest.raises(UserError, match=r"too few good photos of cat \(0\), owl \(0\)"):
        manifests.require(counts, 3)


def test_counts_add_up(collection):
    (collection / "cat" / "empty.jpg").write_bytes(b"")
    (collection / "cat" / "none.jpg").write_bytes(b"")
    (collection / "owl" / "text.jpg").write_bytes(b"text")
    (collection / "stray.jpg").write_bytes(b"")
    counts = manifests.count(*ingest(collection)).set_index("species")
    assert counts["files"].to_dict() == {"(none)": 1, "cat": 8, "fish": 6, "owl": 7, "zebra": 6}
    assert counts.loc["cat", ["accepted", "empty", "not_an_image"]].tolist() == [6, 2, 0]
    assert counts.loc["(none)", "outside_class_folders"] == 1
    assert counts["files"].equals(counts.drop(columns="files").sum(axis=1))


def test_counts_without_a_quarantine(collection):
    counts = manifests.count(*ingest(collection))
    assert counts.to_numpy().tolist() == [[name, 6, 6] for name in ("cat", "fish", "owl", "zebra")]


def test_species_with_too_few_photos_are_named(collection):
    for path in sorted((collection / "owl").iterdir())[2:]:
        path.unlink()
    counts = manifests.count(*ingest(collection))
    manifests.require(counts, 2)
    with pytest.raises(UserError, match=r"of owl \(2\); ingest\.min_per_species is 3") as caught:
        manifests.require(counts, 3)
    assert "quarantine.csv" in str(caught.value)
    assert "cat" not in str(caught.value)


def stopped_by(counts, least):
    """What a run on a collection is stopped by; nothing where it is not."""
    try:
        manifests.require(counts, least)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("least", "named"), [(6, []), (7, ["cat"]), (9, ["cat"]), (10, ["cat", "owl"])]
)
def test_as_many_photos_as_params_ask_for_are_enough(least, named):
    counts = pd.DataFrame({"species": ["cat", "owl", "(none)"], "files": [8, 9, 3]})
    counts = counts.assign(accepted=[6, 9, 0], truncated=[2, 0, 3])
    given = stopped_by(counts, least)
    assert [name for name in ("cat", "owl", "(none)") if name in given] == named


def test_one_species_only_is_refused(collection):
    for name in ("fish", "owl", "zebra"):
        shutil.rmtree(collection / name)
    with pytest.raises(UserError, match=r"one species only \(cat\)"):
        manifests.require(manifests.count(*ingest(collection)), 3)


def test_order_and_processes_change_nothing(collection):
    shutil.copy(next((collection / "cat").iterdir()), collection / "cat" / "zz.jpg")
    (collection / "owl" / "half.jpg").write_bytes(b"GIF89a")
    files = list_files(collection)
    expected = ingest(collection, files, bits=6)
    order = np.random.default_rng(0).permutation(len(files))
    for changed in (ingest(collection, files.iloc[order], bits=6), ingest(collection, jobs=2)):
        pd.testing.assert_frame_equal(changed[1], expected[1])
    shuffled = ingest(collection, files.iloc[order], bits=6)
    parallel = ingest(collection, files, bits=6, jobs=2)
    pd.testing.assert_frame_equal(shuffled[0], expected[0])
    pd.testing.assert_frame_equal(parallel[0], expected[0])


def test_names_change_nothing_but_paths(collection, tmp_path):
    before, _ = ingest(collection, bits=6)
    renamed = tmp_path / "renamed"
    for i, path in enumerate(sorted(collection.rglob("*.jpg"), reverse=True)):
        target = renamed / path.parent.name / "sub" / f"{i:03d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    after, _ = ingest(renamed, bits=6)
    assert after["flags"].eq("wrong_extension").all()
    told = ["path", "flags"]  # of which the name's extension is a part
    pd.testing.assert_frame_equal(after.drop(columns=told), before.drop(columns=told))
    assert assignment.assign(after, 0.7, 0.15, 0).equals(assignment.assign(before, 0.7, 0.15, 0))


def test_file_name_that_is_no_utf8_stops_nothing(collection, tmp_path):
    source = next((collection / "cat").iterdir())
    name = os.fsencode(collection / "cat") + b"/caf\xe9.jpg"
    try:
        with open(name, "wb") as file:  # noqa: PTH123
            file.write(source.read_bytes() + b" ")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    manifest, quarantine = ingest(collection)
    assert len(manifest) + len(quarantine) == 25
    manifest.to_parquet(tmp_path / "manifest.parquet")
    quarantine.to_csv(tmp_path / "quarantine.csv")


def test_every_dirty_file_ends_accepted_or_with_its_reason(collection, photos_folder):
    dirty = photos_folder("dirty")
    shutil.copytree(dirty, collection, dirs_exist_ok=True)
    files = list_files(collection)
    manifest, quarantine = ingest(collection, files, max_pixels=10**8, bits=6)
    assert len(manifest) + len(quarantine) == len(files)
    assert set(manifest["path"]) | set(quarantine["path"]) == set(files["path"])
    why = reasons(quarantine)
    truncated = set(files.loc[files["species"] == "truncated", "path"])
    cut_short = set(manifest.loc[manifest["flags"].str.contains("cut_short"), "path"])
    assert cut_short == {"truncated/00090.jpg"}  # it misses the last 2 % of its rows
    truncated -= cut_short
    assert truncated
    assert {path for path, reason in why.items() if reason == "truncated"} == truncated
    assert set(why.values()) <= {"truncated", "exact_duplicate"}
    first = {}
    for path in files["path"]:
        content = (collection / path).read_bytes()
        if first.setdefault(content, path) != path:
            assert why[path] == "exact_duplicate"
    counts = manifests.count(manifest, quarantine)
    assert counts["files"].sum() == len(files)
    with pytest.raises(UserError, match="truncated"):
        manifests.require(counts, 3)


def test_flagged_photos_are_accepted_unless_params_refuse_the_flag(collection):
    save(collection / "cat" / "plain.png", (64, 64))
    save(collection / "cat" / "plain.jpg", (64, 200))
    (collection / "cat" / "plain.jpg").rename(collection / "cat" / "long.png")
    manifest, quarantine = ingest(collection)
    flags = manifest.set_index("path")["flags"]
    assert flags["cat/plain.png"] == "blurred one_colour"
    assert flags["cat/long.png"] == "blurred one_colour odd_aspect wrong_extension"
    assert quarantine.empty
    manifest, quarantine = ingest(collection, reject=["wrong_extension", "one_colour"])
    assert reasons(quarantine) == {
        "cat/plain.png": "one_colour",
        "cat/long.png": "wrong_extension",
    }
    assert len(manifest) == 24


def test_of_duplicates_one_with_a_flag_that_is_refused_is_not_kept(collection):
    original = next((collection / "cat").iterdir())
    shutil.copy(original, collection / "cat" / "aa.png")
    manifest, quarantine = ingest(collection, reject=["wrong_extension"])
    assert reasons(quarantine) == {"cat/aa.png": "wrong_extension"}
    assert f"cat/{original.name}" in set(manifest["path"])


def labelled(collection, **columns):
    """The collection's files with more columns filled; a column is a function of the path."""
    files = list_files(collection)
    return files.assign(**{name: files["path"].map(fill) for name, fill in columns.items()})


def test_given_groups_and_near_duplicates_are_joined(collection):
    owls = [f"owl/{path.name}" for path in sorted((collection / "owl").iterdir())]
    image = Image.open(collection / owls[0])
    image.resize((image.width * 9 // 10, image.height * 9 // 10)).save(collection / "owl/near.jpg")
    shutil.copy(collection / owls[2], collection / "owl" / "zz-same.jpg")
    given = {
        "owl/near.jpg": "a", owls[1]: "a", owls[2]: "b", "owl/zz-same.jpg": "a", owls[3]: "c"
    }  # fmt: skip
    manifest, quarantine = ingest(collection, labelled(collection, group=given.get), bits=6)
    assert reasons(quarantine) == {"owl/zz-same.jpg": "exact_duplicate"}
    together = manifest[manifest["path"].isin(["owl/near.jpg", *owls[:3]])]
    assert set(together["group"]) == {together["photo"].min()}
    assert (manifest["group"] == together["group"].iloc[0]).sum() == 4
    alone = manifest[manifest["path"] == owls[3]]
    assert alone["group"].tolist() == alone["photo"].tolist()


def test_metadata_go_before_what_the_camera_wrote(collection):
    paths = sorted((collection / "cat").iterdir())[:2]
    for path in paths:
        image = Image.open(path)
        exif = image.getexif()
        exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
        image.save(path, exif=exif)
    given = {f"cat/{paths[0].name}": "2020-01-01T00:00:00"}
    manifest, _ = ingest(collection, labelled(collection, taken_at=given.get))
    times = manifest.set_index("path")["taken_at"].dropna().to_dict()
    assert times == given | {f"cat/{paths[1].name}": "2001-02-03T04:05:06"}


def test_boxes_become_shares_of_the_photo_within_its_edges(collection):
    save(collection / "cat" / "wide.png", (200, 100))
    save(collection / "cat" / "tall.png", (100, 200))
    boxes = {
        "cat/wide.png": ((20.0, 20.0, 100.0, 50.0), (150.0, -10.0, 100.0, 60.0)),
        "cat/tall.png": ((0.5, 0.5, 0.7, 0.25), (1.0, 0.0, 0.5, 0.5)),
    }
    manifest, _ = ingest(collection, labelled(collection, boxes=boxes.get))
    written = manifest.set_index("path")["box"].dropna()
    assert written.map(json.loads).to_dict() == {
        "cat/wide.png": [[0.1, 0.2, 0.5, 0.5], [0.75, 0.0, 0.25, 0.5]],
        "cat/tall.png": [[0.5, 0.5, 0.5, 0.25]],
    }


def test_species_of_which_no_file_is_here_stop_nothing(collection):
    (collection / "metadata.csv").write_text(
        "file_name,species\n"
        + "".join(f"{path.parent.name}/{path.name},{path.parent.name}\n" for path in
                  collection.rglob("*.jpg"))
        + "gone.jpg,lion\nhttps://example.com/x.jpg,lynx\nclip.mp4,wolf\n"
    )  # fmt: skip
    counts = manifests.count(*ingest(collection))
    assert counts.set_index("species")["files"]["lion"] == 1
    manifests.require(counts, 3)


def test_events_are_what_the_source_groups_else_bursts_and_stay_in_one_group(collection):
    files = list_files(collection).sort_values("path", ignore_index=True)
    files["taken_at"] = [f"2024-05-01T10:{n:02d}:00" for n in range(24)]
    files.loc[4:9, "location"] = "north"  # a minute apart: one burst
    files.loc[10:11, "location"] = "north"
    files.loc[10:11, "taken_at"] = ["2024-05-01T12:00:00", "2024-05-01T12:00:59"]
    files.loc[[2, 3, 8], "group"] = "seq1"
    manifest, _ = ingest(collection, files)
    by_path = manifest.set_index("path").reindex(files["path"])
    events, groups, photos = (by_path[name].tolist() for name in ("event", "group", "photo"))
    together = [[0], [1], [2, 3, 8], [4, 5, 6, 7, 9], [10, 11], *[[n] for n in range(12, 24)]]
    for members in together:
        smallest = min(photos[n] for n in members)
        assert [events[n] for n in members] == [smallest] * len(members)
    chained = [2, 3, 4, 5, 6, 7, 8, 9]  # the burst has a photo of the sequence
    assert {groups[n] for n in chained} == {min(photos[n] for n in chained)}
    assert groups[10] == groups[11] != groups[9]


def test_a_clip_is_an_event_before_what_the_source_groups_and_stays_in_one_group(collection):
    files = list_files(collection).sort_values("path", ignore_index=True)
    files["clip"] = pd.Series(dtype="str")
    files.loc[[0, 1, 7], "clip"] = "a.mp4"
    files.loc[[8, 9], "clip"] = "b.mp4"
    files.loc[[7, 8, 10], "group"] = "seq1"  # a photo, and a frame of each clip
    manifest, _ = ingest(collection, files)
    by_path = manifest.set_index("path").reindex(files["path"])
    events, groups, photos = (by_path[name].tolist() for name in ("event", "group", "photo"))
    for members in ([0, 1, 7], [8, 9], [10], *[[n] for n in (2, 3, 4, 5, 6, 11, 12)]):
        smallest = min(photos[n] for n in members)
        assert [events[n] for n in members] == [smallest] * len(members)
    assert {groups[n] for n in (0, 1, 7, 8, 9, 10)} == {min(photos[n] for n in (0, 1, 7, 8, 9, 10))}
    assert groups[2] == photos[2] and groups[11] == photos[11]
