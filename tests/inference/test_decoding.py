import io
import pickle
import re
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from pipeline.inference import decoding
from pipeline.inference.decoding import PhotoError, inspect, square

ORIENTATION = 0x0112
REASONS = {
    *("empty", "not_an_image", "too_many_pixels", "truncated", "unreadable"),
    *("git_lfs_pointer", "web_page", "video", "needs_plugin"),
}


def scene(width=120, height=80):
    """A smooth picture without any symmetry: uint8 (height, width, 3)."""
    down, across = np.mgrid[0:height, 0:width]
    x, y = across / max(1, width - 1), down / max(1, height - 1)
    red = 230 * x
    green = 200 * y
    blue = 220 * np.exp(-((x - 0.3) ** 2 + (y - 0.7) ** 2) / 0.05)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encoded(picture, form="PNG", **options):
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def distance(a, b):
    return np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean()


def refused(data, **options):
    """The reason why both ways to read these bytes refuse them."""
    with pytest.raises(PhotoError) as by_inspect:
        inspect(data, **options)
    with pytest.raises(PhotoError) as by_square:
        square(data, 32, **options)
    assert by_inspect.value.reason == by_square.value.reason
    assert by_inspect.value.reason in REASONS
    assert str(by_inspect.value)
    return by_inspect.value.reason


def as_stored(upright, orientation):
    """What a camera held another way stores (Exif 2.32, 4.6.4: where row and column 0 are)."""
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright[:, ::-1].swapaxes(0, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: upright[::-1].swapaxes(0, 1),
    }[orientation]
    return np.ascontiguousarray(turned)


def with_orientation(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(120, 80), (80, 121)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(orientation, size, fit):
    upright = scene(*size)
    stored = as_stored(upright, orientation)
    expected = square(encoded(upright), 64, fit)
    exif = with_orientation(orientation)
    assert distance(square(encoded(stored, exif=exif), 64, fit), expected) < 0.5
    jpeg = encoded(stored, "JPEG", quality=95, exif=exif)
    assert distance(square(jpeg, 64, fit), expected) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_inspect_gives_upright_sizes_and_picture(orientation):
    upright = scene(160, 90)
    stored = as_stored(upright, orientation)
    data = encoded(stored, "JPEG", quality=95, exif=with_orientation(orientation))
    seen = inspect(data)
    assert (seen.width, seen.height) == (160, 90)
    assert seen.format == "JPEG"
    assert seen.picture.mode == "RGB"
    assert seen.picture.width > seen.picture.height
    expected = Image.fromarray(upright).resize(seen.picture.size)
    assert distance(seen.picture, expected) < 4


@pytest.mark.parametrize("orientation", [0, 9, 1000])
def test_impossible_orientation_is_ignored(orientation):
    data = encoded(scene(), exif=with_orientation(orientation))
    assert np.array_equal(square(data, 64), square(encoded(scene()), 64))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_exif_spoils_no_picture():
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert square(data, 32).shape == (32, 32, 3)
    assert inspect(data).taken_at is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2021:03:04 05:06:07", "2021-03-04T05:06:07"),
        ("0000:00:00 00:00:00", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_time_of_the_camera(written, read):
    exif = Image.Exif()
    if written:
        exif.get_ifd(0x8769)[0x9003] = written
    assert inspect(encoded(scene(), "JPEG", exif=exif)).taken_at == read


def test_inspect_makes_the_picture_small_but_no_side_below_64():
    picture = inspect(encoded(scene(1200, 800), "JPEG")).picture
    assert 64 <= min(picture.size) < 400


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours(form):
    cmyk = Image.fromarray(scene()).convert("CMYK")
    pixels = square(encoded(cmyk, form), 64, "stretch")
    assert distance(pixels, square(encoded(scene()), 64, "stretch")) < 3
    assert inspect(encoded(cmyk, form))[:2] == (120, 80)


def test_greyscale_has_three_equal_channels():
    grey = Image.fromarray(scene()).convert("L")
    pixels = square(encoded(grey), 64, "stretch")
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    assert np.array_equal(pixels[..., 0], pixels[..., 2])
    assert distance(pixels[..., 0], grey.resize((64, 64), Image.Resampling.BICUBIC)) < 1


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (200, 40, 0)), ("LA", (200,))])
@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_transparency_lies_on_neutral_ground(mode, colour, alpha):
    pixels = square(encoded(Image.new(mode, (50, 50), (*colour, alpha))), 32)
    shown = np.array(colour if mode == "RGBA" else colour * 3)
    expected = (shown * alpha + 128 * (255 - alpha)) / 255
    assert np.abs(pixels - expected).max() <= 1.5


def test_colours_of_transparent_pixels_do_not_bleed():
    image = Image.new("RGBA", (60, 60), (0, 255, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 30, 60))
    pixels = square(encoded(image), 20).astype(int)
    assert pixels[..., 1].max() <= 129  # neutral grey at most, never the hidden green


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette_keeps_its_colours(form):
    palette = Image.fromarray(scene()).quantize(256)
    pixels = square(encoded(palette, form), 64, "stretch")
    assert distance(pixels, square(encoded(scene()), 64, "stretch")) < 8


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_transparent_entry_of_a_palette_lies_on_neutral_ground(form):
    image = Image.new("P", (40, 40), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (20, 0, 40, 40))
    pixels = square(encoded(image, form, transparency=0), 40)
    assert np.abs(pixels[:, :18].astype(int) - 128).max() <= 1
    assert np.abs(pixels[:, 22:].astype(int) - (0, 0, 255)).max() <= 1


def test_palette_with_partial_transparency():
    image = Image.new("P", (40, 40), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    pixels = square(encoded(image, transparency=bytes([128, 255])), 32)
    assert np.abs(pixels.astype(int) - (192, 64, 64)).max() <= 1


@pytest.mark.parametrize(
    ("mode", "ground", "key"), [("L", 200, 200), ("RGB", (9, 99, 9), (9, 99, 9)), ("1", 1, 255)]
)
def test_colour_declared_transparent_lies_on_neutral_ground(mode, ground, key):
    data = encoded(Image.new(mode, (40, 40), ground), transparency=key)
    assert np.abs(square(data, 32).astype(int) - 128).max() <= 1


def test_sixteen_bits_with_a_transparent_level_keep_their_light():
    ramp = np.tile(np.linspace(0, 60_000, 64).astype(np.uint16), (64, 1))
    pixels = square(encoded(ramp, transparency=65_535), 64)
    assert distance(pixels[..., 0], ramp >> 8) < 2


@pytest.mark.parametrize("form", ["PNG", "TIFF", "GIF", "BMP"])
def test_one_bit_pictures(form):
    image = Image.new("1", (40, 40), 0)
    image.paste(1, (20, 0, 40, 40))
    pixels = square(encoded(image, form), 40)
    assert pixels[:, :18].max() <= 1
    assert pixels[:, 22:].min() >= 254


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_greyscale_keeps_its_light(form):
    ramp = np.tile(np.linspace(0, 65_535, 64).astype(np.uint16), (64, 1))
    pixels = square(encoded(ramp, form), 64)
    assert distance(pixels[..., 0], ramp >> 8) < 1


@pytest.mark.parametrize("values", [np.float32, np.int32])
def test_pictures_without_an_agreed_white_span_all_levels(values):
    ramp = np.tile(np.linspace(-1000, 5000, 64).astype(values), (64, 1))
    pixels = square(encoded(ramp, "TIFF"), 64)
    assert distance(pixels[..., 0], np.tile(np.linspace(0, 255, 64), (64, 1))) < 2


def test_floats_that_are_no_numbers():
    ramp = np.tile(np.linspace(0, 1, 64).astype(np.float32), (64, 1))
    ramp[0, :3] = np.nan, np.inf, -np.inf
    assert square(encoded(ramp, "TIFF"), 64)[5:, 60:].min() > 200
    assert square(encoded(np.full((9, 9), np.nan, np.float32), "TIFF"), 32).shape == (32, 32, 3)
    assert square(encoded(np.full((9, 9), 7, np.float32), "TIFF"), 32).shape == (32, 32, 3)


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile():
    """sRGB with its red and green primaries (tags rXYZ and gXYZ) exchanged."""
    profile = bytearray(srgb_profile())
    (count,) = struct.unpack(">I", profile[128:132])
    places = {bytes(profile[i : i + 4]): i for i in range(132, 132 + 12 * count, 12)}
    red, green = places[b"rXYZ"] + 4, places[b"gXYZ"] + 4
    profile[red : red + 8], profile[green : green + 8] = (
        profile[green : green + 8],
        profile[red : red + 8],
    )
    return bytes(profile)


def test_srgb_profile_changes_nothing():
    with_profile = square(encoded(scene(), icc_profile=srgb_profile()), 64)
    assert np.abs(with_profile.astype(int) - square(encoded(scene()), 64)).max() <= 2


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (220, 30, 30)), ("RGBA", (220, 30, 30, 255))])
def test_profile_is_applied(mode, colour):
    data = encoded(Image.new(mode, (40, 40), colour), icc_profile=swapped_profile())
    red, green, _ = square(data, 32)[16, 16].astype(int)
    assert green - red > 100


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("profile", ["broken", "for_colours"])
def test_profile_that_is_broken_or_for_other_pixels_is_ignored(mode, profile):
    image = Image.fromarray(scene()).convert(mode)
    icc = srgb_profile()[:200] if profile == "broken" else srgb_profile()
    plain = square(encoded(image, "TIFF"), 64)
    assert np.abs(square(encoded(image, "TIFF", icc_profile=icc), 64) - plain.astype(int)).max() < 3


@pytest.mark.parametrize("kind", [3, 4, 7])
def test_profile_tag_of_any_type_spoils_no_tiff(kind):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[34675] = kind  # 3 and 4 are numbers, where bytes (7) are expected
    tags[34675] = b"12" if kind == 7 else 5
    assert square(encoded(scene(), "TIFF", tiffinfo=tags), 32).shape == (32, 32, 3)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_several_is_taken(form):
    first, second = (Image.new("RGB", (40, 40), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(first, form, save_all=True, append_images=[second], **options)
    assert distance(square(data, 32), np.array([255, 0, 0])) < 2
    assert inspect(data)[:2] == (40, 40)


def test_first_picture_of_a_phones_mpo():
    first, second = Image.fromarray(scene()), Image.new("RGB", (120, 80), "blue")
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert distance(square(data, 64), square(encoded(scene()), 64)) < 4


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_other_colour_spaces(mode):
    image = Image.fromarray(scene())
    if mode == "LAB":
        to_lab = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        image = ImageCms.applyTransform(image, to_lab)
    else:
        image = image.convert(mode)
    assert distance(square(encoded(image, "TIFF"), 64), square(encoded(scene()), 64)) < 8


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_all_formats_show_the_same(form):
    assert distance(square(encoded(scene(), form), 64), square(encoded(scene()), 64)) < 4


@pytest.mark.parametrize("form", ["PPM", "ICNS", "PDF"])
def test_other_formats_are_no_images(form):
    assert refused(encoded(Image.new("RGB", (64, 64)), form)) == "not_an_image"


def test_crop_takes_the_centre():
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 30:60] = 255
    assert square(encoded(wide), 30).min() == 255
    assert square(encoded(wide.swapaxes(0, 1).copy()), 30).min() == 255


def test_pad_keeps_proportions_on_neutral_ground():
    pixels = square(encoded(np.full((30, 90, 3), 255, np.uint8)), 90, "pad")
    assert (pixels[30:60] == 255).all()
    assert (pixels[:30] == 128).all()
    assert (pixels[60:] == 128).all()


def test_stretch_shows_everything():
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 45:] = 255
    pixels = square(encoded(wide), 60, "stretch")
    assert pixels[:, :28].max() <= 1
    assert pixels[:, 32:].min() >= 254


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (3, 2000), (2, 1), (33, 31)])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_tiny_and_extreme_shapes(form, size, fit):
    data = encoded(Image.new("RGB", size, (10, 200, 90)), form)
    pixels = square(data, 32, fit)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    centre = pixels[15:17, 15:17].astype(int)  # padded strips are a pixel thin
    assert np.abs(centre - (10, 200, 90)).max(axis=-1).min() <= 3
    assert inspect(data)[:2] == size


def test_jpeg_decoded_small_looks_like_one_decoded_whole():
    big = scene(1600, 1200)
    small = square(encoded(big, "JPEG", quality=95), 64)
    assert distance(small, square(encoded(big), 64)) < 2


def detailed(width, height):
    """Noise as fine as four pixels: uint8 (height, width, 3)."""
    grains = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(grains).resize((width, height), Image.Resampling.BICUBIC))


def sharpness(picture):
    """Mean square of the differences of neighbours, down and across."""
    levels = np.asarray(picture, dtype=float)
    return sum((np.diff(levels, axis=axis) ** 2).mean() for axis in (0, 1))


def decoded_whole(data, size, fit):
    """What a JPEG looks like if all of it is decoded and then resampled once."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if fit == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("size", [120, 200, 300])
def test_a_jpeg_keeps_its_sharpness_at_the_size_that_is_wanted(size, fit):
    """Decoded at half of the wanted size it keeps 0.14 to 0.86 of it; decoded at no more than that
    size it has up to 1.56, for what is too fine to be shown turns into a pattern of its own."""
    data = encoded(detailed(1040, 800), "JPEG", quality=95)
    kept = sharpness(square(data, size, fit)) / sharpness(decoded_whole(data, size, fit))
    assert 0.9 < kept < 1.2, f"{kept:.2f} of the sharpness is left"


def test_real_photos_keep_their_sharpness(photos_folder):
    """Decoded at half the wanted size, they keep 0.3 of it."""
    shares = []
    for path in sorted(photos_folder("main13").rglob("*.jpg"))[::160]:
        data = path.read_bytes()
        if Image.open(path).getexif().get(ORIENTATION, 1) == 1:
            size = max(32, min(Image.open(path).size) // 4)
            whole = sharpness(decoded_whole(data, size, "crop"))
            shares.append(sharpness(square(data, size)) / whole)
    assert len(shares) > 9
    assert np.median(shares) > 0.85, f"{np.median(shares):.2f} of the sharpness is left"


def test_no_bytes():
    assert refused(b"") == "empty"


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"not a picture\n",
        "słoń".encode(),
        b"%PDF-1.4\n",
        b"\xff\xd8",
        b"GIF89a",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    ],
)
def test_bytes_of_something_else(data):
    assert refused(data) == "not_an_image"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git_lfs_pointer"),
        (b"\n <!DOCTYPE html><html><body>404 Not Found</body></html>", "web_page"),
        (b"\xef\xbb\xbf<html lang='en'>", "web_page"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
        (b"RIFF\x24\0\0\0AVI LIST", "video"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "video"),
    ],
)
def test_what_stands_in_place_of_a_photo_is_told(data, reason):
    assert refused(data) == reason


def test_avif():
    assert (
        distance(square(encoded(scene(), "AVIF", quality=95), 64), square(encoded(scene()), 64)) < 4
    )


def test_heic_where_the_plugin_is_and_a_clear_reason_where_not(monkeypatch):
    pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    data = encoded(scene(), "HEIF", quality=95)
    assert distance(square(data, 64), square(encoded(scene()), 64)) < 4
    assert inspect(data)[:2] == inspect(encoded(scene()))[:2]
    monkeypatch.setattr(decoding, "FORMATS", ("JPEG", "PNG"))
    assert refused(data) == refused(encoded(scene(), "AVIF")) == "needs_plugin"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_truncated_jpeg_and_png(form, share):
    rng = np.random.default_rng(0)
    data = encoded(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8), form)
    assert refused(data[: int(len(data) * share)]) == "truncated"


@pytest.mark.parametrize("form", ["GIF", "WEBP", "BMP", "TIFF"])
def test_truncated_files_of_other_formats_are_refused(form):
    rng = np.random.default_rng(0)
    data = encoded(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8), form)
    assert refused(data[: len(data) // 2]) in {"truncated", "unreadable", "not_an_image"}


def png_that_claims(width, height):
    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_001, 12_000, 16_000, 100_000, 2**31 - 1])
def test_pixel_bomb_is_refused_before_it_is_decoded(side):
    data = png_that_claims(side, side)
    started = time.perf_counter()
    assert refused(data) == "too_many_pixels"
    assert time.perf_counter() - started < 0.5


def test_limit_of_pixels_is_the_callers():
    data = encoded(scene(100, 100))
    assert refused(data, max_pixels=9_999) == "too_many_pixels"
    assert square(data, 32, max_pixels=10_000).shape == (32, 32, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells what is damaged
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_damaged_bytes_give_a_picture_or_a_photo_error(form):
    rng = np.random.default_rng(1)
    whole = encoded(scene(40, 30), form, **({"exif": with_orientation(6)} if form != "BMP" else {}))
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            data[int(len(data) * rng.random() ** 2)] = rng.integers(0, 256)  # headers more often
        for read in (lambda d: inspect(d, 10**6), lambda d: square(d, 32, "crop", 10**6)):
            try:
                read(bytes(data))
            except PhotoError as error:
                assert error.reason in REASONS


def test_every_reason_that_is_given_is_listed():
    """Of the whole library: predict and the readers of collections give some of their own."""
    raised = re.compile(r'PhotoError\(\s*"(\w+)"(?: if \w+ else "(\w+)")?')
    sources = Path(decoding.__file__).parents[1].rglob("*.py")
    given = {name for file in sources for pair in raised.findall(file.read_text()) for name in pair}
    assert given - {""} == set(re.findall(r"`(\w+)`", PhotoError.__doc__))


def test_error_passes_between_processes():
    error = pickle.loads(pickle.dumps(PhotoError("truncated", "half is missing")))
    assert (error.reason, str(error)) == ("truncated", "half is missing")


def test_identity_is_the_sha256_of_the_bytes():
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert decoding.identity(b"") == empty


def test_every_dirty_file_gives_a_picture_or_the_right_reason(photos_folder):
    dirty = photos_folder("dirty")
    files = sorted(path for path in dirty.rglob("*") if path.is_file())
    assert files
    for path in files:
        data = path.read_bytes()
        if path.name == "00090.jpg":  # misses the last 2 % of its rows
            assert inspect(data).cut_short
        elif path.parent.name == "truncated":
            assert refused(data) == "truncated", path
        else:
            assert square(data, 64).shape == (64, 64, 3), path
            seen = inspect(data)
            assert min(seen.width, seen.height) > 32, path


def test_grey_photos_come_out_grey(photos_folder):
    for path in sorted(photos_folder("dirty/grey_L").iterdir()):
        pixels = square(path.read_bytes(), 64).astype(int)
        assert np.ptp(pixels, axis=-1).max() <= 2, path


def test_cmyk_and_turned_photos_show_the_same_scene(photos_folder):
    (cmyk,) = photos_folder("dirty/cmyk").iterdir()
    (turned,) = photos_folder("dirty/exif_orientation_6").iterdir()
    one, other = cmyk.read_bytes(), turned.read_bytes()
    assert inspect(one)[:2] == inspect(other)[:2]
    for fit in ("crop", "pad", "stretch"):
        a, b = square(one, 64, fit), square(other, 64, fit)
        assert distance(a, b) < 15
        assert distance(a, b) < distance(a, b[::-1]) / 2
        assert distance(a, b) < distance(a, b[:, ::-1]) / 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_once(orientation, compression):
    upright = np.zeros((60, 90, 3), dtype=np.uint8)
    upright[:30, :, 0], upright[:, :45, 1] = 200, 120
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(as_stored(upright, orientation))
    stored.save(file, "TIFF", exif=exif, compression=compression)
    width, height, *_ = decoding.inspect(file.getvalue())
    assert (width, height) == (90, 60)
    square = decoding.square(file.getvalue(), 32, "stretch").astype(int)
    assert np.abs(square[4, 4] - [200, 120, 0]).max() < 8
    assert np.abs(square[4, 28] - [200, 0, 0]).max() < 8
    assert np.abs(square[28, 4] - [0, 120, 0]).max() < 8


def test_light_sees_exposure_and_focus():
    from PIL import ImageFilter

    scene = Image.effect_noise((128, 128), 60).convert("RGB")
    blurred = decoding.light(np.asarray(scene.filter(ImageFilter.GaussianBlur(2))))
    darker = decoding.light(np.asarray(scene.point(lambda value: value // 2)))
    seen = decoding.light(np.asarray(scene))
    assert seen["brightness"] == pytest.approx(128, abs=3)
    assert darker["brightness"] == pytest.approx(seen["brightness"] / 2, abs=1)
    assert blurred["sharpness"] < seen["sharpness"] / 20
    assert blurred["brightness"] == pytest.approx(seen["brightness"], abs=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cut_is_a_part_of_the_upright_photo_as_a_file_of_its_own(orientation):
    stored = Image.fromarray(as_stored(scene(), orientation))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = decoding.cut(encoded(stored, "PNG", exif=exif), (0.25, 0.5, 0.5, 0.25))
    part = scene()[40:60, 30:90]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), part)
    assert np.array_equal(square(data, 32, "pad"), square(encoded(part), 32, "pad"))


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.0, 0.0), (0.0, 0.0, 1e-6, 1.0), (0.0, 0.0, 1.0, 1.0)])
def test_cut_has_a_pixel_at_least_and_stays_inside(box):
    width, height = Image.open(io.BytesIO(decoding.cut(encoded(scene()), box))).size
    assert 1 <= width <= 120
    assert 1 <= height <= 80


def test_cut_of_a_jpeg_is_cut_from_its_full_resolution():
    big = scene(1600, 1200)
    data = decoding.cut(encoded(big, "JPEG", quality=95), (0.5, 0.5, 0.1, 0.1))
    assert Image.open(io.BytesIO(data)).size == (160, 120)
    assert distance(Image.open(io.BytesIO(data)), big[600:720, 800:960]) < 2


def test_what_is_no_picture_cannot_be_cut():
    with pytest.raises(PhotoError):
        decoding.cut(b"", (0, 0, 1, 1))
    with pytest.raises(PhotoError):
        decoding.cut(encoded(scene()), (0, 0, 1, 1), max_pixels=100)
