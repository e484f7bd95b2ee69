"""Fetching from a real server on this machine that is slow, breaks off, or lies."""

import hashlib
import random
import time

import fsspec
import pytest
import web as answers

from pipeline.core.errors import UserError
from pipeline.sources.recipes import download

MEGABYTE = 1 << 20
CONTENT = random.Random(1).randbytes(3 * MEGABYTE + 17)
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def hasty(tmp_path, monkeypatch):
    """A folder of its own, and waits that a test can wait for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "WAITS", (0.01, 0.01, 0.01))


def fetch(url, size=SIZE, sha256=SHA256):
    return download.fetch(url, size, sha256)


def mistake(*arguments):
    with pytest.raises(UserError) as caught:
        fetch(*arguments)
    left = {path.suffix for path in download.DOWNLOADS.iterdir()}
    assert left <= {".partial"}, "something unchecked passes for the file"
    return str(caught.value)


def test_file_is_fetched_once_and_kept_under_its_checksum(web):
    url = web.put("/a.zip", answers.whole(CONTENT))
    kept = fetch(url)
    assert kept == download.DOWNLOADS / SHA256
    assert kept.read_bytes() == CONTENT
    web.put("/a.zip", answers.status(500))
    assert fetch(url) == kept
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    "damage", [b"", CONTENT[:-1], b"x" + CONTENT[1:]], ids=["emptied", "shortened", "changed"]
)
def test_damage_to_the_kept_file_is_noticed_and_mended(web, capsys, damage):
    url = web.put("/a.zip", answers.whole(CONTENT))
    fetch(url).write_bytes(damage)
    assert fetch(url).read_bytes() == CONTENT
    assert "is not what was fetched any more" in capsys.readouterr().err


def test_broken_connection_is_taken_up_where_it_broke(web):
    broken = answers.breaking(CONTENT, 100_000)
    url = web.put("/a.zip", broken, broken, answers.whole(CONTENT))
    assert fetch(url).read_bytes() == CONTENT
    starts = [start for _, start in web.requests]
    assert starts[0] == 0
    assert 0 < starts[1] < starts[2] <= 200_000


def test_what_a_killed_run_left_is_not_fetched_again(web):
    url = web.put("/a.zip", answers.whole(CONTENT))
    partial = download.DOWNLOADS / f"{SHA256}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:MEGABYTE])
    assert fetch(url).read_bytes() == CONTENT
    assert web.requests == [("/a.zip", MEGABYTE)]


def test_complete_but_unchecked_file_of_a_killed_run_is_checked_alone(web):
    partial = download.DOWNLOADS / f"{SHA256}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT)
    assert fetch(web.address + "/a.zip").read_bytes() == CONTENT
    assert not web.requests


@pytest.mark.parametrize("left", [b"x" * MEGABYTE, b"x" * (SIZE + 5)], ids=["wrong", "longer"])
def test_wrong_bytes_of_an_earlier_run_are_fetched_again(web, left):
    url = web.put("/a.zip", answers.whole(CONTENT))
    partial = download.DOWNLOADS / f"{SHA256}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(left)
    assert fetch(url).read_bytes() == CONTENT


def test_server_that_knows_no_ranges_begins_again(web):
    url = web.put("/a.zip", answers.breaking(CONTENT, 70_000), answers.without_ranges(CONTENT))
    assert fetch(url).read_bytes() == CONTENT


def test_server_that_breaks_off_more_often_than_is_waited_for_still_gets_on(web):
    broken = answers.breaking(CONTENT, MEGABYTE + 1)
    url = web.put("/a.zip", answers.status(503), broken, answers.status(503), broken, broken)
    assert fetch(url).read_bytes() == CONTENT


def test_server_that_never_gets_further_is_given_up(web):
    url = web.put("/a.zip", answers.breaking(CONTENT, 0))
    message = mistake(url)
    assert url in message
    assert "Try again later" in message
    assert len(web.requests) == len(download.WAITS) + 1


def test_silence_is_given_up_and_taken_up(web, monkeypatch):
    monkeypatch.setattr(download, "SILENCE", 0.3)
    url = web.put("/a.zip", answers.silent(CONTENT, 2), answers.whole(CONTENT))
    assert fetch(url).read_bytes() == CONTENT
    assert web.requests[1][1] == SIZE // 2


@pytest.mark.parametrize("code", [429, 500, 503])
def test_passing_trouble_is_waited_out(web, code):
    url = web.put("/a.zip", answers.status(code), answers.whole(CONTENT))
    assert fetch(url).read_bytes() == CONTENT


def test_a_server_is_left_alone_as_long_as_it_asks(web, monkeypatch):
    waits = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    asked = [answers.status(429, Retry_After=wait) for wait in ("7", "99999999", "-1")]
    fetch(web.put("/a.zip", *asked, answers.without_ranges(CONTENT)))
    assert waits == [7, download.LONGEST_WAIT, 0.01]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_lasting_trouble_is_told_at_once(web, code):
    url = web.put("/a.zip", answers.status(code))
    message = mistake(url)
    assert url in message
    assert str(code) in message or "is not there" in message
    assert len(web.requests) == 1


def test_nobody_there_is_told(monkeypatch):
    assert "the connection broke" in mistake("http://127.0.0.1:9/a.zip")


def test_page_instead_of_the_file_is_refused(web):
    message = mistake(web.put("/a.zip", answers.page()))
    assert "26 bytes of 'text/html'" in message
    assert f"{SIZE:,}" in message


@pytest.mark.parametrize("chunk", [CONTENT, b"x" * 5000], ids=["large", "small"])
def test_server_that_sends_more_is_cut_off(web, chunk):
    assert "sends more than" in mistake(web.put("/a.zip", answers.endless(chunk)))
    (partial,) = download.DOWNLOADS.iterdir()
    assert not partial.stat().st_size


def test_shorter_file_than_claimed_is_taken_for_a_break(web):
    short = answers.ending(CONTENT[:90_000], SIZE)
    url = web.put("/a.zip", short, answers.whole(CONTENT))
    assert fetch(url).read_bytes() == CONTENT


def test_early_end_without_a_claim_is_taken_for_a_break(web):
    url = web.put("/a.zip", answers.ending(CONTENT[:90_000]), answers.whole(CONTENT))
    assert fetch(url).read_bytes() == CONTENT


def test_other_content_of_the_same_size_is_refused_and_not_kept(web):
    url = web.put("/a.zip", answers.whole(b"x" + CONTENT[1:]))
    message = mistake(url)
    assert SHA256 in message
    assert not list(download.DOWNLOADS.iterdir())
    assert len(web.requests) == 1


def test_wrong_part_of_a_file_is_refused(web):
    def elsewhere(request):
        request.head(206, Content_Range=f"bytes 5-9/{SIZE}", Content_Length=5)
        request.wfile.write(b"wrong")

    message = mistake(web.put("/a.zip", answers.breaking(CONTENT, 100_000), elsewhere))
    assert "sends 'bytes 5-9'" in message


def test_compressed_on_the_way_stays_as_it_is(web):
    def compressed(request):
        request.head(Content_Encoding="gzip", Content_Length=SIZE)
        request.wfile.write(CONTENT)

    assert fetch(web.put("/a.tar.gz", compressed)).read_bytes() == CONTENT


def test_moved_file_is_found(web):
    web.put("/new.zip", answers.whole(CONTENT))
    url = web.put("/a.zip", answers.status(302, Location="/new.zip"))
    assert fetch(url).read_bytes() == CONTENT


def test_unknown_checksum_is_written_down_and_holds_from_then_on(web, capsys):
    url = web.put("/a.zip", answers.whole(CONTENT))
    kept = fetch(url, sha256=None)
    assert SHA256 in capsys.readouterr().err
    assert fetch(url, sha256=None) == kept
    assert len(web.requests) == 1
    kept.unlink()
    web.put("/a.zip", answers.whole(b"x" + CONTENT[1:]))
    with pytest.raises(UserError, match=f"not {SHA256}"):
        fetch(url, sha256=None)


def test_full_disk_is_told_before_anything_is_fetched(web):
    url = web.put("/a.zip", answers.whole(CONTENT))
    assert "are free" in mistake(url, 1 << 60)
    assert not web.requests


def test_other_file_systems_are_taken_up_too(capsys):
    system = fsspec.filesystem("memory")
    system.pipe_file("/b/a.zip", CONTENT)
    partial = download.DOWNLOADS / f"{SHA256}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:MEGABYTE])
    assert fetch("memory://b/a.zip").read_bytes() == CONTENT
    assert f"{SIZE - MEGABYTE} bytes" in capsys.readouterr().err


def test_file_that_another_file_system_lacks_is_told():
    assert "is not there" in mistake("memory://b/none.zip")


def test_missing_package_is_named():
    try:
        fsspec.filesystem("s3")
    except ImportError:
        assert "pip install s3fs" in mistake("s3://bucket/a.zip")
    else:
        pytest.skip("s3fs is here")


def test_body_is_bounded(web):
    assert download.body(web.put("/x", answers.whole(b"ab")), 2) == b"ab"
    for answer in (answers.whole(b"abc"), answers.endless(b"abc" * 1000)):
        with pytest.raises(UserError, match="more than 2 bytes"):
            download.body(web.put("/x", answer), 2)


def test_body_that_trickles_is_given_up(web, monkeypatch):
    monkeypatch.setattr(download, "SILENCE", 0.05)
    monkeypatch.setattr(download, "WAITS", ())

    def trickle(request):
        request.head(Content_Length=1000)
        for _ in range(1000):
            request.wfile.write(b"x")
            time.sleep(0.02)

    with pytest.raises(UserError, match="it took too long"):
        download.body(web.put("/x", trickle), 1000)
