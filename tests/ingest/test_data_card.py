import re
from functools import partial
from html.parser import HTMLParser

import pandas as pd
import pytest

from pipeline.dataset.shortcut_baseline import Score
from pipeline.ingest import data_card, manifest, quality_flags
from pipeline.sources.choice import Rules
from pipeline.sources.reader import gather

SCORE = Score(photos=24, accuracy=0.5, standard_error=0.1, guess=0.25)
HOSTILE = "<script>alert(\"x\")</script> & 'owl'\n\x1b[31m\u202e"


@pytest.fixture
def judged(collection, tmp_path):
    (collection / "owl" / "empty.jpg").write_bytes(b"")
    found = gather(str(collection), tmp_path / "files", Rules(), 1).files
    inspected = manifest.inspect(collection, found, 10**8, 1, tmp_path / "inspections")
    return manifest.screen(inspected, 32, 6)


@pytest.fixture
def page(collection, judged):
    def drawn(manifest=judged[0], quarantine=judged[1], source="a collection", jobs=1):
        strips = partial(data_card.strips, collection, 10**8, jobs)
        return data_card.page(source, manifest, quarantine, SCORE, strips)

    return drawn


class Tags(HTMLParser):
    """The tags of a page, its text, and whether each tag that opens is closed in order."""

    def __init__(self, page):
        super().__init__()
        self.opened, self.tags, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_is_complete_and_needs_nothing_else(page):
    read = Tags(page())
    assert not read.opened
    assert not {"script", "link", "iframe"} & {tag for tag, _ in read.tags}
    images = [attributes["src"] for tag, attributes in read.tags if tag == "img"]
    assert len(images) >= 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in images)
    assert "http" not in read.text


def test_page_tells_counts_and_the_score(page, judged):
    text = Tags(page()).text
    for name in ("cat", "fish", "owl", "zebra", "empty", "0.500 ± 0.100", "No photo tells when"):
        assert name in text
    assert f"{len(judged[0])}photos" in text


def test_names_are_shown_and_not_obeyed(page, judged):
    manifest, quarantine = judged
    manifest["species"] = manifest["species"].replace("owl", HOSTILE)
    manifest["location"], manifest["licence"], manifest["origin"] = HOSTILE, HOSTILE, HOSTILE
    quarantine["species"], quarantine["reason"] = HOSTILE, HOSTILE
    drawn = page(manifest, quarantine, HOSTILE)
    plain = Tags(page())
    hostile = Tags(drawn)
    assert {tag for tag, _ in hostile.tags} == {tag for tag, _ in plain.tags}
    assert '<script>alert("x")</script>' in hostile.text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", drawn)


def test_processes_change_no_byte(page):
    assert page(jobs=2) == page()


def test_times_cameras_and_licences_are_shown_where_they_are_known(page, judged):
    manifest, _ = judged
    manifest["taken_at"] = [f"2024-{1 + i % 3:02d}-05T{i % 24:02d}:00:00" for i in range(24)]
    manifest["location"] = [f"camera {i % 2}" for i in range(24)]
    manifest.loc[0, "licence"] = "CC0"
    text = Tags(page(manifest)).text
    for text_shown in ("2024-02", "camera 1", "CC0", "(unknown)", "24 of 24 photos tell when"):
        assert text_shown in text


def test_flagged_photos_are_shown(page, judged):
    manifest, _ = judged
    manifest["flags"] = ""
    manifest.loc[:2, "flags"] = "blurred odd_aspect"
    read = Tags(page(manifest))
    assert "blurred: hardly a sharp edge even when shrunk (3)" in read.text
    assert len([tag for tag, _ in read.tags if tag == "img"]) == 4 + 2


def test_every_flag_has_its_meaning():
    assert set(data_card._MEANING) == set(quality_flags.FLAGS)


def test_many_species_make_no_endless_page(page, judged):
    manifest, _ = judged
    many = pd.concat([manifest] * 20, ignore_index=True)
    many["species"] = [f"species {i:03d}" for i in range(len(many))]
    read = Tags(page(many))
    assert len([tag for tag, _ in read.tags if tag == "img"]) == 200
    assert "species 479" in read.text


def test_photo_that_is_gone_leaves_a_gap(page, collection, judged):
    for path in judged[0]["path"]:
        (collection / path).unlink()
    assert "img" not in {tag for tag, _ in Tags(page()).tags}
