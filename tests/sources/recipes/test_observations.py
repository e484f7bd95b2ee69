"""Photos of iNaturalist and GBIF, from a server on this machine that answers in their shapes."""

import csv
import hashlib
import io
import json
import time

import pytest
import web as answers
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.sources.recipes import download, inaturalist, observations

LICENCES = ["cc0", "cc-by"]
NOT_PHOTOS = {"/v1/taxa", "/v1/observations", "/v1/occurrence/search"}


@pytest.fixture(autouse=True)
def hasty(tmp_path, monkeypatch):
    """A folder of its own, and waits that a test can wait for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "WAITS", (0.01, 0.01))
    monkeypatch.setattr(observations, "PER_SECOND", 1000)
    monkeypatch.setattr("pipeline.sources.recipes.gbif.SECONDS", 0)


def picture(number, kind="JPEG"):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (number * 37 % 256, number * 91 % 256, 80)).save(buffer, kind)
    return buffer.getvalue()


class Database:
    """What both databases have in common: species with observations with photos, on a server."""

    def __init__(self, web):
        self.web = web
        self.taken = 0

    def photos(self, path, count, answer=None):
        """Puts photos on the server, and gives their numbers."""
        first, self.taken = self.taken + 1, self.taken + count
        for number in range(first, self.taken + 1):
            content = answers.whole(picture(number), "image/jpeg")
            self.web.put(path(number), answer or content)
        return list(range(first, self.taken + 1))

    def fetched(self):
        return [path for path, _ in self.web.requests if "photo" in path or "/image/" in path]


class INaturalist(Database):
    """Version 1 of the API of iNaturalist: taxa and observations."""

    kind, api = "inaturalist", "/v1"
    taxa = (
        ("Vulpes vulpes", "Red Fox"),
        ("Meles meles", "European Badger"),
        ("Erithacus rubecula", "Robin"),
        ("Turdus migratorius", "Robin"),
    )

    def __init__(self, web):
        super().__init__(web)
        self.observations = []
        web.put("/v1/taxa", answers.as_json(self._taxa))
        web.put("/v1/observations", answers.as_json(self._search))

    def _taxa(self, asked):
        found = [
            {"id": 100 + number, "name": name, "preferred_common_name": common, "rank": "species"}
            for number, (name, common) in enumerate(self.taxa)
            if asked["q"].split()[0].lower() in f"{name} {common}".lower()
        ]
        return {"total_results": len(found), "page": 1, "per_page": 30, "results": found}

    def _search(self, asked):
        assert asked["quality_grade"] == "research"
        assert asked["photos"] == "true"
        assert (asked["order_by"], asked["order"]) == ("id", "asc")
        licences = asked["photo_license"].lower().split(",")
        found = [
            one
            for one in self.observations
            if one["id"] > int(asked["id_above"])
            and one["taxon"]["id"] == int(asked["taxon_id"])
            and any(photo["license_code"] in licences for photo in one["photos"])
        ]
        page = found[: int(asked["per_page"])]
        return {"total_results": len(found), "page": 1, "per_page": 30, "results": page}

    def add(self, name, photos=1, licence="cc-by", answer=None, **more):
        numbers = self.photos("/photos/{}/medium.jpg".format, photos, answer)
        number = 1000 + len(self.observations)
        url = self.web.address + "/photos/{}/square.jpg?1545"
        self.observations.append(
            {
                "id": number,
                "quality_grade": "research",
                "time_observed_at": "2020-08-27T08:57:22-06:00",
                "observed_on": "2020-08-27",
                "location": "50.0949055,-104.71929167",
                "uri": f"https://www.inaturalist.org/observations/{number}",
                "license_code": None,
                "taxon": {"id": 100 + [one[0] for one in self.taxa].index(name), "name": name},
                "user": {"id": 5, "login": "samroom", "name": None},
                "photos": [
                    {"id": n, "license_code": licence, "url": url.format(n)} for n in numbers
                ],
            }
            | more
        )


class Gbif(Database):
    """Version 1 of the API of GBIF: occurrences, and the cache of their photos."""

    kind, api = "gbif", "/v1"
    urls = {  # noqa: RUF012
        "cc0": "http://creativecommons.org/publicdomain/zero/1.0/legalcode",
        "cc-by": "http://creativecommons.org/licenses/by/4.0/",
        "cc-by-nc": "https://creativecommons.org/licenses/by-nc/4.0/",
        None: "all rights reserved",
    }

    def __init__(self, web):
        super().__init__(web)
        self.occurrences = []
        web.put("/v1/occurrence/search", answers.as_json(self._search))

    def _search(self, asked):
        assert asked["mediaType"] == "StillImage"
        assert asked["occurrenceStatus"] == "PRESENT"
        found = [one for one in self.occurrences if one["species"] == asked["scientificName"]]
        offset, limit = int(asked["offset"]), int(asked["limit"])
        return {
            "offset": offset,
            "limit": limit,
            "endOfRecords": offset + limit >= len(found),
            "count": len(found),
            "results": found[offset : offset + limit],
        }

    def add(self, name, photos=1, licence="cc-by", answer=None, **more):
        number = 5938029520 + len(self.occurrences)
        first = self.taken + 1
        originals = [f"https://example.org/{first + n}.jpg" for n in range(photos)]
        names = [hashlib.md5(one.encode()).hexdigest() for one in originals]
        place = f"/v1/image/cache/fit-in/500x500/occurrence/{number}/media/"
        self.photos(lambda n: place + names[n - first], photos, answer)
        self.occurrences.append(
            {
                "key": number,
                "species": name,
                "eventDate": "2020-08-27T08:57:22",
                "decimalLatitude": 50.0949055,
                "decimalLongitude": -104.71929167,
                "recordedBy": "samroom",
                "license": "http://creativecommons.org/licenses/by-nc/4.0/legalcode",
                "media": [
                    {
                        "type": "StillImage",
                        "format": "image/jpeg",
                        "identifier": one,
                        "license": self.urls[licence],
                        "creator": "samroom",
                    }
                    for one in originals
                ],
            }
            | more
        )


@pytest.fixture(params=[INaturalist, Gbif], ids=["inaturalist", "gbif"])
def database(request, web):
    return request.param(web)


@pytest.fixture
def gather(tmp_path, web):
    """Follows a recipe; gives the table it wrote, after a look at the files."""

    def follow(kind, species=("Vulpes vulpes", "Meles meles"), per_species=10, **lines):
        known = {"kind": kind, "per_species": per_species, "api": web.address + "/v1"}
        known["species"] = {name.split()[0].lower(): name for name in species}
        into = tmp_path / "files"
        while into.exists():
            into = into.with_name(into.name + "+")
        into.mkdir()
        observations.gather(observations.Observed(**{"licences": LICENCES} | known | lines), into)
        with (into / "metadata.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        files = {p.relative_to(into).as_posix() for p in into.rglob("*.*")} - {"metadata.csv"}
        assert files == {row["file_name"] for row in rows}
        assert all(Image.open(into / name).size == (40, 30) for name in files)
        return rows

    return follow


def two_species(database, photos=1):
    for name in ("Vulpes vulpes", "Meles meles"):
        database.add(name, photos)


def test_table_says_all_that_an_attribution_needs(database, gather):
    two_species(database)
    rows = gather(database.kind)
    assert [row["species"] for row in rows] == ["vulpes", "meles"]
    row = rows[0]
    assert row["file_name"].startswith("vulpes/") and row["file_name"].endswith(".jpg")
    assert row["licence"] == "cc-by"
    assert row["observer"] == "samroom"
    assert row["observation"].rpartition("/")[2] == row["group"].rpartition("-")[2]
    assert row["group"].startswith(database.kind)
    assert row["taken_at"] == "2020-08-27T08:57:22"
    assert row["location"] == "50.09,-104.72"


def test_photos_of_an_observation_form_a_group_and_do_not_crowd_out_others(database, gather):
    two_species(database, photos=9)
    database.add("Vulpes vulpes", 2)
    groups = [row["group"] for row in gather(database.kind) if row["species"] == "vulpes"]
    assert sorted(groups.count(group) for group in set(groups)) == [2, observations.PER_OBSERVATION]


def test_only_chosen_licences(database, gather, capsys):
    for licence in ("cc0", "cc-by", "cc-by-nc", None):
        database.add("Vulpes vulpes", licence=licence)
    database.add("Meles meles")
    rows = gather(database.kind)
    assert [row["licence"] for row in rows] == ["cc0", "cc-by", "cc-by"]
    assert len(database.fetched()) == 3
    assert "vulpes: 2 of 10 photos; there are no more under cc0, cc-by" in capsys.readouterr().err


def test_so_many_of_each_species_over_several_pages(database, gather, monkeypatch):
    monkeypatch.setattr(f"pipeline.sources.recipes.{database.kind}.PAGE", 4)
    for name in ["Vulpes vulpes"] * 6 + ["Meles meles"] * 3:
        database.add(name)
    rows = gather(database.kind, per_species=5)
    assert [row["species"] for row in rows] == ["vulpes"] * 5 + ["meles"] * 3
    assert len(database.fetched()) == 8


def test_photo_that_is_offered_twice_is_taken_once(database, gather):
    two_species(database)
    offered = getattr(database, "observations", None) or database.occurrences
    offered.append(offered[0] | {"id": 2000})
    assert len(gather(database.kind)) == 2


def test_nothing_is_asked_or_fetched_twice(database, gather):
    two_species(database, photos=2)
    rows = gather(database.kind)
    asked = len(database.web.requests)
    assert gather(database.kind) == rows
    assert len(database.web.requests) == asked
    assert len(gather(database.kind, per_species=1)) == 2
    assert len(database.fetched()) == 4


def test_more_of_each_keeps_those_that_are_here(database, gather):
    for _ in range(4):
        two_species(database)
    few = gather(database.kind, per_species=2)
    many = gather(database.kind, per_species=4)
    assert {row["file_name"] for row in few} <= {row["file_name"] for row in many}
    assert len(database.fetched()) == 8


def test_photo_that_cannot_be_had_is_left_out_and_the_next_one_taken(database, gather, capsys):
    two_species(database)
    bad = [answers.status(404), answers.page(), answers.ending(picture(1)[:300]), answers.page("")]
    for answer in bad:
        database.add("Vulpes vulpes", answer=answer)
    database.add("Vulpes vulpes")
    rows = gather(database.kind, per_species=2)
    assert [row["species"] for row in rows] == ["vulpes", "vulpes", "meles"]
    told = capsys.readouterr().err
    assert "vulpes: left out, http" in told
    assert "left out 3 more" in told


def test_photo_in_passing_trouble_is_fetched_again(database, gather):
    two_species(database)
    whole = answers.whole(picture(1), "image/jpeg")
    first = next(path for path in database.web.answers if path not in NOT_PHOTOS)
    bad = [answers.status(500), answers.breaking(picture(1), 100)]
    database.web.put(first, *bad, whole)
    assert len(gather(database.kind)) == 2
    assert database.fetched().count(first) == 3


def test_species_without_photos_is_asked_for_again_another_day(database, gather):
    database.add("Vulpes vulpes")
    with pytest.raises(UserError, match="no photo of 'Meles meles'"):
        gather(database.kind)
    database.add("Meles meles")
    assert len(gather(database.kind)) == 2


def test_server_without_any_photo_is_given_up(database, gather):
    two_species(database)
    for _ in range(20):
        database.add("Vulpes vulpes", answer=answers.status(404))
    with pytest.raises(UserError, match="10 photos in a row"):
        gather(database.kind)
    assert len(database.fetched()) == 11


def test_too_large_a_photo_is_left_out(database, gather, monkeypatch):
    two_species(database)
    monkeypatch.setattr(observations, "MAX_PHOTO", 2000)
    database.add("Vulpes vulpes", answer=answers.endless(b"x" * 1000))
    assert len(gather(database.kind)) == 2


def test_damaged_photo_of_an_earlier_run_is_fetched_again(database, gather):
    two_species(database)
    rows = gather(database.kind)
    for kept in (download.DOWNLOADS / database.kind).iterdir():
        kept.write_bytes(b"<html>")
    assert gather(database.kind) == rows


def test_photos_are_named_after_what_they_are(database, gather):
    two_species(database)
    database.add("Vulpes vulpes", answer=answers.whole(picture(9, "PNG"), "image/jpeg"))
    assert [row["file_name"][-4:] for row in gather(database.kind)] == [".jpg", ".png", ".jpg"]


def trouble(database, bad):
    """Puts an answer before the right ones, where photos are asked for."""
    for path in ("/v1/observations", "/v1/occurrence/search"):
        database.web.put(path, bad, *database.web.answers[path])


@pytest.mark.parametrize(
    "bad",
    [
        answers.status(429, Retry_After=0),
        answers.status(503),
        answers.ending(b'{"resu', 5000),
        answers.whole(b'{"results": [', "application/json"),
        answers.page(),
    ],
    ids=["busy", "down", "broken", "truncated", "html"],
)
def test_api_in_passing_trouble_is_asked_again(database, gather, bad):
    two_species(database)
    trouble(database, bad)
    assert len(gather(database.kind)) == 2


@pytest.mark.parametrize(
    "bad",
    [
        answers.whole(b"[" * 100_000, "application/json"),
        answers.whole(b"[]", "application/json"),
        answers.whole(b"\xff\x00", "application/json"),
    ],
    ids=["nested", "list", "binary"],
)
def test_answer_that_is_no_json_object_is_told_and_not_remembered(database, gather, bad):
    database.web.answers.clear()
    for path in ("/v1/taxa", "/v1/occurrence/search"):
        database.web.put(path, bad)
    with pytest.raises(UserError, match="not a JSON object"):
        gather(database.kind)
    assert len(database.web.requests) == len(download.WAITS) + 1
    assert not list(download.DOWNLOADS.rglob("*.json"))


@pytest.mark.parametrize("code", [401, 403, 422])
def test_api_that_refuses_is_told(database, gather, code):
    trouble(database, answers.status(code))
    with pytest.raises(UserError, match=f"the server answered {code}"):
        gather(database.kind)


def test_endless_answer_of_the_api_is_cut_off(database, gather, monkeypatch):
    monkeypatch.setattr(observations, "MAX_ANSWER", 10_000)
    trouble(database, answers.endless(b'{"results": [' * 100))
    with pytest.raises(UserError, match="10,000 bytes"):
        gather(database.kind)


def test_server_whose_pages_never_end_is_not_followed_for_ever(database, gather, monkeypatch):
    monkeypatch.setattr(observations, "PAGES", 4)
    monkeypatch.setattr(f"pipeline.sources.recipes.{database.kind}.PAGE", 1)
    count = iter(range(1, 100))
    empty = answers.as_json(
        lambda asked: {"endOfRecords": False, "results": [{"id": next(count), "photos": []}]}
    )
    for path in ("/v1/observations", "/v1/occurrence/search"):
        database.web.put(path, empty)
    with pytest.raises(UserError, match="has no photo of 'Vulpes vulpes' under cc0, cc-by"):
        gather(database.kind)
    assert len(database.web.requests) <= 6


HOSTILE = [
    {"user": None, "recordedBy": None, "location": None, "decimalLatitude": None},
    {"user": {"name": "=cmd|' /C calc'!A0\n\x1b[2J\ud800" + "x" * 10_000}},
    {"recordedBy": "=1", "user": 5, "location": 7, "decimalLatitude": "north"},
    {"location": "nan,1e999", "decimalLongitude": 1e400, "eventDate": "yesterday"},
    {"time_observed_at": {"a": 1}, "eventDate": [1]},
    {"uri": "javascript:alert(1)", "references": "file:///etc/passwd"},
]
NO_OBSERVATIONS = [
    {"id": "../../evil", "key": "../../evil"},
    {"id": 10**400, "key": 10**400},
    {"id": True, "key": True},
    {"id": -1, "key": -1},
    {"photos": "all", "media": {"type": "StillImage"}},
    {"photos": [5, None, {"id": "../x"}], "media": [5, None, {"license": 5}]},
]


def test_hostile_fields_do_no_harm(database, gather, tmp_path):
    two_species(database)
    for lies in HOSTILE:
        database.add("Vulpes vulpes", **lies)
    rows = gather(database.kind)
    assert len(rows) == len(HOSTILE) + 2
    for row in rows:
        assert row["observer"].isprintable() and len(row["observer"]) <= 200
        assert not row["observer"].startswith("=")
        assert row["observation"].startswith("https://www.")
        assert row["location"] in ("", "50.09,-104.72")
        assert row["taken_at"] in ("", "2020-08-27T08:57:22", "2020-08-27")
    assert not list(tmp_path.parent.rglob("evil*"))


def test_what_is_no_observation_is_passed_over(database, gather, tmp_path):
    two_species(database)
    good = getattr(database, "observations", None) or database.occurrences
    bad = [good[0] | lies for lies in NO_OBSERVATIONS]
    everything = {"endOfRecords": True, "results": [5, None, *bad, *good]}
    for path in ("/v1/observations", "/v1/occurrence/search"):
        database.web.put(path, answers.as_json(lambda asked: everything))
    assert len(gather(database.kind)) == 4
    assert not list(tmp_path.parent.rglob("evil*"))


def test_species_by_common_name(web, gather):
    database = INaturalist(web)
    two_species(database)
    rows = gather("inaturalist", species=["red fox", "Meles meles"])
    assert [row["species"] for row in rows] == ["red", "meles"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Unicorn", "no species called 'Unicorn'; it offers none"),
        ("Red Foxx", "no species called 'Red Foxx'; it offers Vulpes vulpes (Red Fox)"),
        ("Robin", "several species called 'Robin'; it offers Erithacus rubecula (Robin), Turdus"),
    ],
)
def test_name_that_is_not_one_species_is_told_with_what_there_is(web, gather, name, said):
    INaturalist(web)
    with pytest.raises(UserError) as caught:
        gather("inaturalist", species=[name, "Meles meles"])
    assert said in str(caught.value)


def test_large_photos_where_asked_for(web, gather):
    database = INaturalist(web)
    two_species(database)
    for number in (1, 2):
        web.put(f"/photos/{number}/large.jpg", answers.whole(picture(number)))
    gather("inaturalist", side=1024)
    assert database.fetched() == ["/photos/1/large.jpg", "/photos/2/large.jpg"]


@pytest.mark.slow
def test_inaturalist_is_asked_no_faster_than_it_allows(web):
    """A request a second, by its own client library, which lets five come early."""
    web.put("/x", answers.as_json(lambda asked: {"results": []}))
    started = time.monotonic()
    for number in range(6):
        inaturalist._client(web.address)("x", page=number + 1)
    assert time.monotonic() - started > 4


def test_missing_package_is_named(gather, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyinaturalist", None)
    with pytest.raises(UserError, match="pip install pyinaturalist"):
        gather("inaturalist")


def test_answers_are_kept_as_they_came(web, gather):
    database = INaturalist(web)
    two_species(database)
    gather("inaturalist")
    kept = [json.loads(p.read_bytes()) for p in (download.DOWNLOADS / "answers").iterdir()]
    assert len(kept) == 4
    assert all(answer["results"] for answer in kept)
