import io

import numpy as np
import pandas as pd
import pytest
from pictures import noise
from PIL import Image

from pipeline.inference import decoding
from pipeline.inference.decoding import PhotoError
from pipeline.inference.recogniser import Recogniser
from pipeline.ingest import inspection_cache
from pipeline.ingest import manifest as manifests

SIZE = (240, 320)  # 40 rows of 8 px, or 20 of 16


def encoded(form="JPEG", size=SIZE, **options):
    file = io.BytesIO()
    noise(size).save(file, form, **options)
    return file.getvalue()


def complete_rows(data, whole):
    """Rows that a file's own bytes decode to, found by Pillow's switch for broken files."""
    from PIL import ImageFile

    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        seen = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    other = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB"), int)
    differs = (seen != other).any(axis=(1, 2))
    return differs.argmax() if differs.any() else len(differs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 95, "subsampling": 0},
        {"quality": 90},
        {"quality": 90, "progressive": True},
        {"form": "PNG"},
    ],
)
def test_photo_is_read_if_95_of_100_rows_are_there(options):
    whole = encoded(**options)
    read, refused = [], []
    for missing in np.unique(np.geomspace(3, len(whole) // 3, 40).astype(int)):
        data = whole[:-missing]
        rows = complete_rows(data, whole)
        try:
            seen = decoding.inspect(data)
        except PhotoError as error:
            assert error.reason == "truncated"
            with pytest.raises(PhotoError):
                decoding.square(data, 64)
            refused.append(rows)
            continue
        read.append(rows)
        assert (seen.width, seen.height) == SIZE
        assert seen.cut_short or rows == SIZE[1]
        for size in (32, 224):
            pixels, cut_short = decoding.read(data, size, "stretch")
            assert cut_short == seen.cut_short
            there = int(rows / SIZE[1] * size) - 3
            other = decoding.square(whole, size, "stretch")
            assert np.abs(pixels[:there].astype(int) - other[:there]).max() <= 2
    # Rows come in blocks of 16 px, and the decoder blends the last ones.
    assert min(read) >= 0.95 * SIZE[1] - 18, f"read with {min(read)} of {SIZE[1]} rows"
    assert max(refused) < 0.95 * SIZE[1] + 18, f"refused with {max(refused)} of {SIZE[1]} rows"
    assert min(read) < SIZE[1] - 4


def test_what_is_missing_is_grey():
    whole = encoded(size=(240, 640), quality=95, subsampling=0)
    data = next(
        whole[:-n] for n in range(2, len(whole), 20) if complete_rows(whole[:-n], whole) <= 624
    )
    pixels = decoding.square(data, 640, "stretch")  # the last of 80 rows of blocks is not there
    assert np.abs(pixels[634:].astype(int) - 128).max() <= 4


def test_whole_photos_are_not_cut_short():
    for form in ("JPEG", "PNG", "WEBP"):
        assert not decoding.inspect(encoded(form)).cut_short
    assert not decoding.inspect(encoded() + b"trailing bytes").cut_short


def test_half_a_png_is_refused_in_each_colour_mode():
    for mode in ("L", "LA", "RGB", "RGBA", "P", "1", "I;16"):
        file = io.BytesIO()
        image = noise().convert("L" if mode == "I;16" else mode)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        image.save(file, "PNG")
        data = file.getvalue()
        with pytest.raises(PhotoError, match="decoding failed"):
            decoding.inspect(data[: len(data) // 2])
        assert decoding.inspect(data[: -len(data) // 50 - 16]).cut_short, mode


def test_ingest_takes_it_with_a_flag_and_the_recogniser_says_so(tmp_path, model_folder, recogniser):
    data = encoded(quality=90)
    (tmp_path / "owl").mkdir()
    (tmp_path / "owl" / "a.jpg").write_bytes(data[:-30])
    (tmp_path / "owl" / "b.jpg").write_bytes(encoded(size=(300, 220)))
    found = pd.DataFrame({"path": ["owl/a.jpg", "owl/b.jpg", "owl/c.jpg"], "species": "owl"})
    for column in ("reason", "detail", "group", "location", "taken_at", "split_hint", "boxes"):
        found[column] = pd.Series([None] * 3, dtype="str")
    found["licence"] = found["origin"] = pd.Series([None] * 3, dtype="str")
    found.loc[2, "reason"] = "missing_file"
    inspected = manifests.inspect(tmp_path, found, 10**8, 1, tmp_path / "cache")
    manifest, quarantine = manifests.screen(inspected, 32, 6)
    assert quarantine["reason"].tolist() == ["missing_file"]
    flags = manifest.set_index("path")["flags"].to_dict()
    assert flags == {"owl/a.jpg": "cut_short", "owl/b.jpg": ""}
    manifest, quarantine = manifests.screen(inspected, 32, 6, ["cut_short"])
    assert quarantine["reason"].tolist() == ["cut_short", "missing_file"]
    about = Recogniser(recogniser)
    assert about.answer(data[:-30], 2)["cut_short"] is True
    assert "cut_short" not in about.answer(data, 2)


@pytest.mark.parametrize("low, high", [(0, 4095), (0, 16_000), (7000, 9000), (60_000, 61_000)])
def test_narrow_band_of_sixteen_bits_is_stretched(low, high):
    ramp = np.tile(np.linspace(low, high, 96).astype(np.uint16), (96, 1))
    wanted = np.tile(np.linspace(0, 255, 96), (96, 1))
    for form in ("PNG", "TIFF"):
        file = io.BytesIO()
        Image.fromarray(ramp).save(file, form)
        pixels = decoding.square(file.getvalue(), 96)
        assert np.abs(pixels[..., 1] - wanted).mean() < 2, form
        small = np.asarray(decoding.inspect(file.getvalue()).picture, float)
        assert np.abs(small - wanted).mean() < 2, form


def test_hot_pixels_do_not_keep_a_band_from_being_stretched():
    ramp = np.tile(np.linspace(7000, 9000, 128).astype(np.uint16), (128, 1))
    ramp[5, 5], ramp[70, 9] = 65_535, 0
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "PNG")
    pixels = decoding.square(file.getvalue(), 128)[20:60, :, 0]
    assert pixels[:, :3].max() < 8 and pixels[:, -3:].min() > 247


@pytest.mark.parametrize("level", [0, 300, 60_000])
def test_one_level_of_sixteen_bits_keeps_its_light(level):
    file = io.BytesIO()
    Image.fromarray(np.full((64, 64), level, np.uint16)).save(file, "PNG")
    assert np.ptp(decoding.square(file.getvalue(), 32)) == 0
    assert abs(int(decoding.square(file.getvalue(), 32)[0, 0, 0]) - (level >> 8)) <= 1


EXIF, GPS = 0x8769, 0x8825


@pytest.mark.parametrize(
    ("tags", "taken_at"),
    [
        ({(EXIF, 0x9003): "2021:03:04 24:00:05"}, "2021-03-05T00:00:05"),
        ({(EXIF, 0x9003): "2021:12:31 24:10:05"}, "2022-01-01T00:10:05"),
        ({(EXIF, 0x9003): "2021:03:04 25:00:05"}, None),
        ({(EXIF, 0x9003): "2021:03:04 05:06:07.890"}, "2021-03-04T05:06:07"),
        ({(EXIF, 0x9003): "2021-03-04T05:06:07+02:00"}, "2021-03-04T05:06:07"),
        ({(EXIF, 0x9003): "2021:03:04 05:06"}, "2021-03-04T05:06:00"),
        ({(EXIF, 0x9003): "2021:02:30 05:06:07"}, None),
        ({(EXIF, 0x9004): "2021:03:04 05:06:07"}, "2021-03-04T05:06:07"),
        ({(None, 0x0132): "2021:03:04 05:06:07"}, "2021-03-04T05:06:07"),
        (
            {(EXIF, 0x9003): "0000:00:00 00:00:00", (None, 0x0132): "2020:01:02 03:04:05"},
            "2020-01-02T03:04:05",
        ),
        (
            {(EXIF, 0x9003): "2021:03:04 05:06:07", (None, 0x0132): "2022:01:02 03:04:05"},
            "2021-03-04T05:06:07",
        ),
        ({(GPS, 29): "2021:03:04", (GPS, 7): (5.0, 6.0, 7.5)}, "2021-03-04T05:06:07"),
        ({(GPS, 29): "2021:03:04"}, None),
        ({(None, 0x0132): "    :  :     :  :  "}, None),
    ],
)
def test_time_from_any_tag_that_holds_it(tags, taken_at):
    exif = Image.Exif()
    for (ifd, tag), value in tags.items():
        (exif if ifd is None else exif.get_ifd(ifd))[tag] = value
    assert decoding.inspect(encoded(exif=exif)).taken_at == taken_at
    assert inspection_cache.inspect_file(encoded(exif=exif), 10**8).taken_at == taken_at


@pytest.mark.parametrize(
    "line",
    [
        '<rdf:Description exif:DateTimeOriginal="2021-03-04T05:06:07.12+01:00"/>',
        "<xmp:CreateDate>2021-03-04T05:06:07</xmp:CreateDate>",
    ],
)
def test_time_from_xmp(line):
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{line}</x:xmpmeta>".encode()
    assert decoding.inspect(encoded(xmp=xmp)).taken_at == "2021-03-04T05:06:07"
