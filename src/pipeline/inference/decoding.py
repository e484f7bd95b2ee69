"""Decodes one photo safely, from the bytes of a file to upright sRGB pixels.

Training, evaluation and serving all decode and resize here, so that a network predicts the same
pixels that it was trained on.
"""

import hashlib
import io
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageCms
from PIL.ExifTags import Base

from pipeline.inference import exif, truncation

Fit = Literal["crop", "pad", "stretch"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
with suppress(ImportError):  # the extra `heic`
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    FORMATS += ("HEIF",)
MAX_PIXELS = 100_000_000
# ISO/IEC 23008-12 and AV1's file format: pictures in the container that videos come in.
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif"}
NEUTRAL = (128, 128, 128)  # the ground behind transparency and beside padded pictures
_NARROW = 2**14  # levels of 2**16: sensors of 12 or 14 bits, and thermal ones
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow warns of large pictures, for which `_open` has a limit of its own, and of broken EXIF.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")


class PhotoError(ValueError):
    """Bytes cannot be decoded into a picture.

    Attributes:
        reason: One of `empty`, `not_an_image`, `git_lfs_pointer`, `web_page`, `video`,
            `not_a_video`, `raw`, `needs_plugin`, `too_large`, `too_many_bytes`, `too_many_pixels`,
            `truncated`, `unreadable`.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)  # both, or the error could not pass between processes
        self.reason = reason

    def __str__(self) -> str:
        return self.args[1]


def identity(data: bytes) -> str:
    """Returns the identity of a photo: the sha256 of its bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


class Sight(NamedTuple):
    """The properties of a photo that need no full-size decoding.

    Attributes:
        width: Of the upright photo (px).
        height: Of the upright photo (px).
        picture: A small upright version of it, its sides at least 64 px where the photo's are; L,
            RGB or CMYK.
        taken_at: When the photo was taken, in whole seconds of the camera's clock (ISO 8601, no
            zone), or None. Only where the file gives no time but GPS's is it UTC.
        format: One of `FORMATS`, or MPO, which is a JPEG with more than one picture.
        cut_short: Whether the file ends before the picture does. At least 95 % of its rows are
            there, and the others are grey.
    """

    width: int
    height: int
    picture: Image.Image
    taken_at: str | None
    format: str
    cut_short: bool


def inspect(data: bytes, max_pixels: int = MAX_PIXELS) -> Sight:
    """Decodes a photo to the end, as small as the format allows.

    Args:
        data: The bytes of the file.
        max_pixels: More than so many, as the header claims, are refused before decoding.

    Raises:
        PhotoError: The bytes give no picture.
    """
    image = _open(data, max_pixels)
    width, height = image.size
    taken_at, format = exif.taken_at(image), image.format
    image, cut_short = _load(image, 64, data)
    orientation = exif.orientation(image)
    picture = _opaque(_upright(_eight_bits(image), orientation))
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return Sight(width, height, picture, taken_at, format, cut_short)


def square(data: bytes, size: int, fit: Fit = "crop", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes a photo into square, upright sRGB pixels, as `read` does."""
    return read(data, size, fit, max_pixels)[0]


def read(
    data: bytes, size: int, fit: Fit = "crop", max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, bool]:
    """Decodes a photo into square, upright sRGB pixels.

    JPEGs are decoded at the scale next above twice the target (libjpeg's DCT scaling), then
    resampled once with an antialiasing bicubic filter. Colour profiles, CMYK, palettes,
    greyscale, 16 bits and transparency all end as plain sRGB.

    Args:
        data: The bytes of the file.
        size: Sides of the result (px).
        fit: What to do with a photo that is not square: `crop` its centre, `pad` it with grey or
            `stretch` it.
        max_pixels: More than so many, as the header claims, are refused before decoding.

    Returns:
        uint8 (size, size, 3), and whether the file ends before the picture does, so that grey rows
        stand for the rest.

    Raises:
        PhotoError: The bytes give no picture.
    """
    image = _open(data, max_pixels)
    profile = image.info.get("icc_profile")
    image, cut_short = _load(image, 2 * size, data)
    orientation = exif.orientation(image)
    image = _eight_bits(image)
    image = _upright(_fitted(image, size, fit), orientation)
    image = _srgb(_opaque(image), profile)
    if image.size != (size, size):
        ground = Image.new("RGB", (size, size), NEUTRAL)
        ground.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
        image = ground
    return np.asarray(image), cut_short


def grey(data: bytes, side: int, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes a photo into small, upright grey pixels, its sides in their proportion.

    Args:
        data: The bytes of the file.
        side: The longer side of the result (px).
        max_pixels: More than so many, as the header claims, are refused before decoding.

    Returns:
        uint8 (height, width).

    Raises:
        PhotoError: The bytes give no picture.
    """
    image = _open(data, max_pixels)
    longer = max(image.size)
    width, height = (max(1, round(length * side / longer)) for length in image.size)
    image, _ = _load(image, min(width, height), data)
    image = _eight_bits(image)
    small = _opaque(image).convert("L").resize((width, height), Image.Resampling.BOX)
    return np.asarray(_upright(small, exif.orientation(image)))


def light(picture: np.ndarray) -> dict[str, float]:
    """Measures exposure and focus of a picture, in a fifth of a millisecond, to notice changes.

    Args:
        picture: uint8 (size, size, 3), from `square`.

    Returns:
        brightness, the mean of the green channel (0 to 255), and sharpness, the mean square of its
        Laplacian (after Pech-Pacheco et al. 2000).
    """
    green = picture[..., 1].astype(np.int16)
    around = green[:-2, 1:-1] + green[2:, 1:-1] + green[1:-1, :-2] + green[1:-1, 2:]
    edges = (around - 4 * green[1:-1, 1:-1]).astype(np.float32).ravel()
    return {"brightness": float(green.mean()), "sharpness": float(edges @ edges / edges.size)}


def capture(data: bytes) -> dict[str, str | float | None]:
    """Reads when and where a photo was taken, and decodes no pixels for it.

    Args:
        data: The bytes of the file.

    Returns:
        taken_at (the camera's time, ISO 8601, no zone), latitude and longitude (degrees, WGS 84);
        None where the EXIF data do not hold one.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:  # decoding reports what cannot be read
        image = Image.new("L", (1, 1))
    latitude, longitude = exif.position(image)
    return {"taken_at": exif.taken_at(image), "latitude": latitude, "longitude": longitude}


def upright_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Returns width and height of the upright photo (px). Raises `PhotoError`, as `cut` does."""
    image = _open(data, max_pixels)
    width, height = image.size
    return (height, width) if exif.orientation(image) in (5, 6, 7, 8) else (width, height)


def cut(data: bytes, box: Sequence[float], max_pixels: int = MAX_PIXELS) -> bytes:
    """Cuts one part out of a photo, as `cut_all` does."""
    (part,) = cut_all(data, [box], max_pixels)
    return part


def cut_all(
    data: bytes, boxes: Sequence[Sequence[float]], max_pixels: int = MAX_PIXELS
) -> list[bytes]:
    """Cuts parts out of a photo, each as an upright sRGB picture file of its own.

    A network that was trained on cut-outs predicts such files: `square` of one gives the pixels of
    training. The photo is decoded once.

    Args:
        data: The bytes of the photo's file.
        boxes: x and y of the left upper corner, width and height of each, in shares of the upright
            photo's sides.
        max_pixels: More than so many, as the header claims, are refused before decoding.

    Returns:
        The bytes of BMPs, which take no time to pack and unpack.

    Raises:
        PhotoError: The bytes give no picture.
    """
    image = _open(data, max_pixels)
    profile = image.info.get("icc_profile")
    image, _ = _load(image, max(image.size), data)
    image = _upright(_eight_bits(image), exif.orientation(image))
    sides, parts = np.array(image.size * 2), []
    for x, y, width, height in boxes:
        corners = np.array([x, y, x + width, y + height])
        left, top, right, bottom = np.rint(corners * sides).astype(int).tolist()
        part = image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
        file = io.BytesIO()
        _srgb(_opaque(part), profile).save(file, "BMP")
        parts.append(file.getvalue())
    return parts


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise PhotoError("empty", "the file holds no bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise _something_else(data) from None
    except Image.DecompressionBombError:
        raise PhotoError("too_many_pixels", f"it claims over {max_pixels:,} pixels") from None
    except Exception as error:  # Pillow's parsers raise many kinds at malformed headers
        raise PhotoError("unreadable", f"its header cannot be read: {error}") from None
    # TIFF 6.0: a reduced copy of another picture
    if image.format == "TIFF" and image.tag_v2.get(Base.NewSubfileType, 0) & 1:
        raise PhotoError("raw", "a camera's raw file, of which only a thumbnail can be read")
    if image.width * image.height > max_pixels:
        claim = f"it claims {image.width} x {image.height}, over {max_pixels:,} pixels"
        raise PhotoError("too_many_pixels", claim)
    return image


def _something_else(data: bytes) -> PhotoError:
    """Returns an error that names what stands in place of a photo, as far as it is known."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        pointer = "a Git LFS pointer stands in place of the photo; run `git lfs pull`"
        return PhotoError("git_lfs_pointer", pointer)
    if start.startswith((b"<!doctype html", b"<html")):
        page = "a web page stands in place of the photo, as a failed download leaves it"
        return PhotoError("web_page", page)
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return PhotoError("needs_plugin", "HEIC and AVIF need the Python package pillow-heif")
    if data[4:8] == b"ftyp" or data[:4] == b"\x1aE\xdf\xa3" or data[8:12] == b"AVI ":
        return PhotoError("video", "the bytes are a video: name the file like one, such as .mp4")
    return PhotoError("not_an_image", f"the bytes are none of {', '.join(FORMATS)}")


def _load(image: Image.Image, side: int, data: bytes) -> tuple[Image.Image, bool]:
    """Decodes to the end; a JPEG no larger than it needs to be for both sides to reach `side` px.

    Returns:
        The decoded picture, and whether `data` ends before it does. At least 95 % of its rows are
        there then, and the others are grey.
    """
    try:
        return _decoded(image, side), False
    except Exception as error:  # Pillow's decoders raise many kinds at malformed data
        message = str(error).lower()
        is_cut = any(word in message for word in ("truncated", "unexpected end", "not enough"))
        if is_cut and (mended := truncation.completed(image.format, data)):
            with suppress(Exception):
                return _decoded(Image.open(io.BytesIO(mended), formats=FORMATS), side), True
        raise PhotoError(
            "truncated" if is_cut else "unreadable", f"decoding failed: {error}"
        ) from None


def _decoded(image: Image.Image, side: int) -> Image.Image:
    image.draft(None, (side, side))
    image.load()
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Converts any mode into one that resampling handles: L, LA, RGB, RGBA or CMYK."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(_sixteen_bits(np.asarray(image)))
    if image.mode == "P" or "transparency" in image.info:
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("I", "F"):  # no agreed white: the picture's own extremes serve
        values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
        low, high = values.min(), values.max()
        scaled = (values - low) * (255 / (high - low) if high > low else 0)
        return Image.fromarray(scaled.astype(np.uint8))
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _sixteen_bits(values: np.ndarray) -> np.ndarray:
    """Scales 16 bits to 8: the upper bytes, or a narrow band that holds 99.8 % of the pixels.

    Sensors of 12 or 14 bits, thermal ones above all, use a part of the range, and its upper bytes
    alone would show next to nothing.
    """
    below = np.bincount(values.ravel(), minlength=2**16).cumsum() / values.size
    low, high = below.searchsorted([0.001, 0.999])
    if not 0 < high - low < _NARROW:
        return (values >> 8).astype(np.uint8)
    levels = np.rint((np.arange(2**16) - low).clip(0, high - low) * (255 / (high - low)))
    return levels.astype(np.uint8)[values]


def _fitted(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    width, height = image.size
    box, target = (0.0, 0.0, float(width), float(height)), (size, size)
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    elif fit == "pad":
        scale = size / max(width, height)
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
    return image.resize(target, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)


def _upright(image: Image.Image, orientation: int | None) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, (*NEUTRAL, 255))
    return Image.alpha_composite(ground, image).convert("RGB")


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    transform = _to_srgb(profile, image.mode) if isinstance(profile, bytes) else None
    if transform is not None:
        return ImageCms.applyTransform(image, transform)
    return image.convert("RGB")


@lru_cache(maxsize=64)  # cameras write the same few profiles into all their photos
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None  # a profile that is broken or for another kind of pixels is ignored
