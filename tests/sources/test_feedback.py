"""Decisions on photos are stored for good, and settled as people would."""

import hashlib
import io
import threading

import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.inference.decoding import PhotoError
from pipeline.sources.feedback import DECISIONS, Feedback


def photo(shade, form="PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), (shade, 0, 0)).save(file, form)
    return file.getvalue()


@pytest.fixture
def feedback(tmp_path):
    return Feedback(tmp_path / "feedback")


def sha(data):
    return hashlib.sha256(data).hexdigest()


def test_a_photo_is_stored_as_it_came_under_its_sha256(feedback):
    data = photo(9, "JPEG")
    answer = {"version": "3", "answered": "dog", "probability": 0.4}
    feedback.add(data, "species", "  red   fox ", "Anna", **answer)
    (one,) = feedback.decisions()
    assert (one.photo, one.file) == (sha(data), f"photos/{sha(data)}.jpg")
    assert (feedback.folder / one.file).read_bytes() == data
    assert (one.label, one.who, one.version, one.probability) == ("red fox", "Anna", "3", 0.4)
    feedback.add(data, "bad_photo", None, "Ben")
    assert len(list((feedback.folder / "photos").iterdir())) == 1


def test_species_are_all_that_somebody_named(feedback):
    assert feedback.species() == set()
    for shade, kind, label in [
        (1, "species", "fox"), (2, "bad_photo", None), (1, "species", "wolf"),
        (3, "no_animal", None), (1, "withdrawn", None),
    ]:  # fmt: skip
        feedback.add(photo(shade), kind, label, "Anna")
    assert feedback.species() == {"fox", "wolf", "blank"}


def test_the_last_decision_of_each_person_counts_and_disagreement_stays(feedback):
    a, b = photo(1), photo(2)
    for data, kind, label, who in [
        (a, "species", "fox", "Anna"),
        (a, "species", "wolf", "Ben"),
        (b, "species", "fox", "Anna"),
        (b, "no_animal", None, "Anna"),
    ]:
        feedback.add(data, kind, label, who)
    settled = feedback.settled()
    assert settled[sha(a)].disputed and settled[sha(a)].species is None
    assert settled[sha(a)].describe() == "Anna says fox, Ben says wolf"
    assert (settled[sha(b)].verdict, settled[sha(b)].species) == ("no_animal", "blank")
    feedback.add(a, "species", "fox", "Ben")
    assert feedback.settled([sha(a)]).keys() == {sha(a)}
    assert feedback.settled()[sha(a)].species == "fox"
    feedback.add(a, "withdrawn", None, "Anna")
    feedback.add(a, "withdrawn", None, "Ben")
    assert feedback.settled()[sha(a)].by == {}
    assert len(feedback.decisions()) == 7  # nothing was taken away


@pytest.mark.parametrize(
    ("label", "who"),
    [("", "A"), (" ", "A"), ("x" * 101, "A"), ("a\u202eb", "A"), ("bad_photo", "A"), ("fox", "")],
)
def test_what_can_be_no_label_and_no_name_is_refused(feedback, label, who):
    with pytest.raises(UserError):
        feedback.add(photo(1), "species", label, who)
    assert not feedback.folder.exists()


def test_what_is_no_photo_is_refused(feedback):
    with pytest.raises(PhotoError):
        feedback.add(b"<svg/>", "species", "fox", "Anna")
    assert not feedback.folder.exists()


def test_half_a_line_that_a_kill_left_spoils_no_other(feedback):
    feedback.add(photo(1), "species", "fox", "Anna")
    with (feedback.folder / DECISIONS).open("a") as file:
        file.write('{"photo": "ab')
    feedback.add(photo(2), "species", "wolf", "Anna")
    assert [one.label for one in feedback.decisions()] == ["fox", "wolf"]


def test_many_threads_lose_nothing(feedback):
    def decide(number):
        for shade in range(10):
            feedback.add(photo(shade), "species", f"s{number}", f"p{number}")

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(feedback.decisions()) == 40
    assert all(len(one.by) == 4 for one in feedback.settled().values())
