"""What a batch may be before anything is answered."""

import io

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.inference.query import QueryError
from pipeline.serve import request_format
from pipeline.serve.request_format import FormatError


def packed(images: list | pa.Array) -> bytes:
    file, column = io.BytesIO(), pa.array(images)
    parquet.write_table(pa.table({"other": column, "image": column}), file, compression="zstd")
    return file.getvalue()


def parse(body: bytes) -> list:
    return request_format.parse(body, request_format.PARQUET)[0]


@pytest.fixture
def spared(monkeypatch):
    """The sizes of what is unpacked of a file, where a photo may have a megabyte."""
    monkeypatch.setattr(request_format, "MAX_BYTES", 2**20, raising=False)
    read = []
    batches = parquet.ParquetFile.iter_batches

    def counted(self, *arguments, **options):
        for batch in batches(self, *arguments, **options):
            read.append(batch.nbytes)
            yield batch

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", counted)
    return read


def test_images_are_unpacked_in_their_order():
    photos = [bytes([i]) * (i + 1) for i in range(200)]
    assert parse(packed(photos)) == photos
    repeated = [*photos, None, *photos]
    assert parse(packed(repeated)) == repeated
    assert parse(packed([photo.hex() for photo in photos])) == [photo.hex() for photo in photos]
    assert parse(packed([])) == []


def test_a_photo_that_is_repeated_is_not_unpacked_as_often(spared):
    """A kilobyte can become gigabytes: it stores the photo once, and that shrinks to nothing."""
    body = packed([bytes(2**17)] * 999)
    assert len(body) < 2000
    with pytest.raises(FormatError, match="images have over 2,097,152 bytes together") as refused:
        parse(body)
    assert refused.value.status_code == 413
    assert sum(spared) < 2.2 * 2**20


def test_photos_that_shrink_to_nothing_are_not_unpacked(spared):
    body = packed([bytes([i]) * 2**17 for i in range(40)])
    assert len(body) < 10_000
    with pytest.raises(FormatError, match="images have over"):
        parse(body)
    assert not spared, "the file itself says how large they are"


def test_too_many_rows_are_refused_before_they_are_read(spared):
    with pytest.raises(QueryError, match="there are 5,000,000 rows; at most 1,000 can be sent"):
        parse(packed(pa.array([None] * 5_000_000, pa.binary())))
    assert not spared


def test_a_row_is_one_photo(spared):
    """A list of nothing costs no bytes, however long it is."""
    with pytest.raises(FormatError, match="no column `image`, or one of lists"):
        parse(packed(pa.array([[None] * 1_000_000], pa.list_(pa.int8()))))
    assert not spared
