"""Reads when, where and which way up a photo was taken, from its EXIF data and XMP."""

import re
from datetime import datetime, timedelta

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

_TIME = re.compile(r"(\d{4})[:/.-](\d\d?)[:/.-](\d\d?)[T ]+(\d\d?):(\d\d?)(?::(\d\d?))?")
_XMP_TIME = re.compile(
    rb"(?:exif:DateTimeOriginal|photoshop:DateCreated|xmp:CreateDate)(?:\s*=\s*[\"']|>)([^\"'<]+)"
)


def orientation(image: Image.Image) -> int | None:
    """Returns how a decoded picture has still to be turned; a TIFF is turned as it is decoded."""
    return _read(image).get(Base.Orientation)


def taken_at(image: Image.Image) -> str | None:
    """Returns when a photo was taken: the camera's time, ISO 8601, no zone.

    It is the first time that the tags hold, from the most exact tag to the vaguest; None where none
    does.
    """
    exif = _read(image)
    camera, gps = _ifd(exif, IFD.Exif), _ifd(exif, IFD.GPSInfo)
    for written in (
        *(tags.get(Base.DateTimeOriginal) for tags in (camera, exif)),
        *(tags.get(Base.DateTimeDigitized) for tags in (camera, exif)),
        _xmp_time(image.info.get("xmp")),
        *(tags.get(Base.DateTime) for tags in (exif, camera)),
        _gps_time(gps),
    ):
        if written and (time := _time(written)):
            return time
    return None


def position(image: Image.Image) -> tuple[float, float] | tuple[None, None]:
    """Returns latitude and longitude (degrees, WGS 84), or twice None.

    A receiver without a fix writes zeros, or nothing.
    """
    try:
        gps = _read(image).get_ifd(IFD.GPSInfo)
        latitude, longitude = (
            (float(d) + float(m) / 60 + float(s) / 3600) * (-1 if str(side)[:1] in "SW" else 1)
            for side, (d, m, s) in (
                (gps[GPS.GPSLatitudeRef], gps[GPS.GPSLatitude]),
                (gps[GPS.GPSLongitudeRef], gps[GPS.GPSLongitude]),
            )
        )
    except Exception:  # absent, or not as the EXIF standard writes it
        return None, None
    there = abs(latitude) <= 90 and abs(longitude) <= 180 and (latitude or longitude)
    return (round(latitude, 7), round(longitude, 7)) if there else (None, None)


def _read(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # broken EXIF spoils no picture
        return Image.Exif()


def _ifd(exif: Image.Exif, tag: int) -> dict:
    try:
        return exif.get_ifd(tag)
    except Exception:  # broken EXIF spoils no picture
        return {}


def _xmp_time(xmp: object) -> str | None:
    match = _XMP_TIME.search(xmp) if isinstance(xmp, bytes) else None
    return match[1].decode(errors="replace") if match else None


def _gps_time(gps: dict) -> str | None:
    try:
        hour, minute, second = (int(float(part)) for part in gps[GPS.GPSTimeStamp])
        return f"{gps[GPS.GPSDateStamp]} {hour:02d}:{minute:02d}:{second:02d}"
    except Exception:  # absent, or not as the EXIF standard writes it
        return None


def _time(written: object) -> str | None:
    """Parses a time as cameras and programs write it, without its fraction and zone.

    24:00 is the next day. A clock that was never set writes zeros, which are no time.
    """
    match = _TIME.search(
        written.decode(errors="replace") if isinstance(written, bytes) else str(written)
    )
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    try:
        midnight = datetime(year, month, day, hour % 24 if hour == 24 else hour, minute, second)
    except ValueError:
        return None
    return (midnight + timedelta(days=hour // 24)).isoformat()
