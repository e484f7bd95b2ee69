"""Fetches observations of GBIF, through version 1 of its API, and its cache of their photos.

https://techdocs.gbif.org/en/openapi. Its cache gives photos at the requested size, so that
no address that a stranger wrote is ever followed.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from urllib.parse import urlencode

from pipeline.sources import ids
from pipeline.sources.recipes import download, observations
from pipeline.sources.recipes.observations import Observed, Photo

API = "https://api.gbif.org/v1"
PAGE = 300  # occurrences an answer, the most there are
SECONDS = 1  # between questions; GBIF names no limit, and what iNaturalist asks for is polite
_LICENCE = re.compile(r"creativecommons\.org/(?:licenses/(by[a-z-]*)|publicdomain/(zero))/")


def offered(recipe: Observed, name: str) -> Iterator[Photo]:
    """Yields photos of a species by people and by camera traps, under the recipe's licences.

    Raises:
        UserError: GBIF cannot be had. A name that it does not know has no photos.
    """
    api = recipe.api or API
    for page in range(observations.PAGES):
        query = urlencode(
            [
                ("scientificName", name),
                ("mediaType", "StillImage"),
                ("basisOfRecord", "HUMAN_OBSERVATION"),  # no specimens out of drawers
                ("basisOfRecord", "MACHINE_OBSERVATION"),
                ("occurrenceStatus", "PRESENT"),
                ("limit", PAGE),
                ("offset", page * PAGE),
            ]
        )
        url = f"{api}/occurrence/search?{query}"
        answer = observations.remembered(url, partial(_asked, url))
        for occurrence in observations.objects(answer.get("results")):
            yield from _photos(recipe, api, occurrence)
        if answer.get("endOfRecords") is not False:
            return


def _asked(url: str) -> bytes:
    time.sleep(SECONDS)
    return download.body(url, observations.MAX_ANSWER)


def _photos(recipe: Observed, api: str, occurrence: dict) -> Iterator[Photo]:
    """Yields the photos of an occurrence that may be used; anything else has none."""
    number = observations.number(occurrence.get("key"))
    usable = (
        one
        for one in observations.objects(occurrence.get("media"))
        if number and one.get("type") == "StillImage" and _licence(one) in recipe.licences
    )
    for one in islice(usable, observations.PER_OBSERVATION):
        identifier = str(one.get("identifier")).encode(errors="replace")
        name = hashlib.md5(identifier, usedforsecurity=False).hexdigest()  # as GBIF names it
        size = f"fit-in/{recipe.side}x{recipe.side}"
        yield Photo(
            key=f"{number}-{name[:16]}",
            url=f"{api}/image/cache/{size}/occurrence/{number}/media/{name}",
            group=f"gbif-{number}",
            licence=_licence(one),
            observer=observations.plain(
                one.get("creator") or one.get("rightsHolder") or occurrence.get("recordedBy")
            ),
            observation=f"https://www.gbif.org/occurrence/{number}",
            taken_at=observations.moment(occurrence.get("eventDate")),
            location=ids.place(
                occurrence.get("decimalLatitude"),
                occurrence.get("decimalLongitude"),
                observations.DECIMALS,
            ),
        )


def _licence(media: dict) -> str:
    """Returns the licence of a photo itself, which is not always that of the record around it."""
    match = _LICENCE.search(str(media.get("license")).lower())
    return f"cc-{match[1]}" if match and match[1] else "cc0" if match else ""
