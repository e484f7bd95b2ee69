"""Fetches research-grade observations of iNaturalist, through version 1 of its API.

https://api.inaturalist.org/v1/docs; pyinaturalist keeps to its limits of a request a second and
10,000 a day.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice
from typing import Any

from pipeline.core.errors import UserError
from pipeline.sources import ids
from pipeline.sources.recipes import download, observations
from pipeline.sources.recipes.observations import Observed, Photo

API = "https://api.inaturalist.org/v1"
PAGE = 100  # observations an answer; 200 at most, and one takes up to 100 kB
_SIZES = {500: "medium", 1024: "large"}  # what iNaturalist calls photos by their longer side

Ask = Callable[..., list[dict]]


def offered(recipe: Observed, name: str) -> Iterator[Photo]:
    """Yields photos of a species under the recipe's licences, the oldest observations first.

    The oldest first, because then new observations change nothing of what a recipe gives.

    Raises:
        UserError: iNaturalist does not know the species, or cannot be had.
    """
    ask = _client(recipe.api or API)
    taxon, above = _taxon(ask, name), 0
    for _ in range(observations.PAGES):
        page = ask(
            "observations",
            taxon_id=taxon,
            quality_grade="research",
            photos=True,
            photo_license=[licence.upper() for licence in recipe.licences],
            order_by="id",
            order="asc",
            id_above=above,
            per_page=PAGE,
        )
        for observation in page:
            yield from _photos(recipe, observation)
        last = max((observations.number(one.get("id")) or above for one in page), default=above)
        if len(page) < PAGE or last <= above:
            return
        above = last


@cache  # one for all species: it counts what it asks
def _client(api: str) -> Ask:
    """Gives a function that asks the API, politely and once, and returns the results."""
    try:
        from pyinaturalist import ClientSession
        from pyrate_limiter import MemoryListBucket
        from requests.adapters import HTTPAdapter
    except ImportError:
        raise UserError(
            "kind: inaturalist needs a package that is not here: pip install pyinaturalist"
        ) from None

    class Bounded(HTTPAdapter):
        """Reads no more of an answer than a sane one holds."""

        def send(self, request, **settings):
            answer = super().send(request, **(settings | {"stream": True}))
            content = answer.raw.read(observations.MAX_ANSWER + 1, decode_content=True)
            if len(content) > observations.MAX_ANSWER:
                raise UserError(
                    f"{request.url} answers more than {observations.MAX_ANSWER:,} bytes"
                )
            answer._content = content
            answer.headers["Content-Type"] = ""  # JSON the client would parse, and trust
            return answer

    # Its cache would forget after minutes, and its rate is counted here and now: both in memory.
    session = ClientSession(
        cache_file="memory",
        use_memory=True,
        expire_after=0,
        urls_expire_after={"*": 0},
        bucket_class=MemoryListBucket,
        ratelimit_path=None,
        lock_path=None,
        limit_statuses=(),  # a 429 is waited out as it asks, not for a minute
        timeout=download.SILENCE,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, Bounded())

    def ask(what: str, **params: Any) -> list[dict]:
        url = f"{api}/{what}"
        question = f"{url} {json.dumps(params, sort_keys=True)}"
        answer = observations.remembered(question, partial(_attempt, session, url, params))
        return observations.objects(answer.get("results"))

    return ask


def _attempt(session: Any, url: str, params: dict[str, Any]) -> bytes:
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    try:
        answer = session.request("GET", url, raise_for_status=False, **params)
    except (RequestException, HTTPError) as error:
        raise download.Passing(f"the connection broke ({type(error).__name__})") from None
    if answer.status_code in download.PASSING:
        wait = download.retry_after(answer.headers.get("Retry-After"))
        raise download.Passing(f"the server answered {answer.status_code}", wait)
    if answer.status_code != 200:
        raise UserError(f"{url} cannot be had: the server answered {answer.status_code}")
    return answer.content


def _taxon(ask: Ask, name: str) -> int:
    """Returns the number of a species, by its scientific name, or else by its common name."""
    taxa = [one for one in ask("taxa", q=name, per_page=30) if observations.number(one.get("id"))]
    for field in ("name", "preferred_common_name", "matched_term"):
        same = [one for one in taxa if str(one.get(field)).casefold() == name.casefold()]
        if len(same) == 1:
            return same[0]["id"]
        if same:
            break
    plain = observations.plain
    known = [
        f"{plain(one.get('name'))} ({plain(one.get('preferred_common_name'))})"
        for one in same or taxa
    ]
    raise UserError(
        f"iNaturalist knows {'several' if same else 'no'} species called {name!r}; "
        f"it offers {', '.join(known[:5]) or 'none'}. Give the scientific name"
    )


def _photos(recipe: Observed, observation: dict) -> Iterator[Photo]:
    """Yields the photos of an observation that may be used; anything else has none."""
    number = observations.number(observation.get("id"))
    if not number:
        return
    user = next(iter(observations.objects([observation.get("user")])), {})
    taken = observation.get("time_observed_at") or observation.get("observed_on")
    latitude, _, longitude = str(observation.get("location")).partition(",")
    usable = (
        photo
        for photo in observations.objects(observation.get("photos"))
        if observations.number(photo.get("id"))
        and photo.get("license_code") in recipe.licences
        and str(photo.get("url")).startswith(("https://", "http://"))
    )
    for photo in islice(usable, observations.PER_OBSERVATION):
        yield Photo(
            key=str(photo["id"]),
            # The API gives the address of the thumbnail; the other sizes lie beside it.
            url=photo["url"].replace("/square.", f"/{_SIZES[recipe.side]}."),
            group=f"inaturalist-{number}",
            licence=photo["license_code"],
            observer=observations.plain(user.get("name") or user.get("login")),
            observation=f"https://www.inaturalist.org/observations/{number}",
            taken_at=observations.moment(taken),
            location=ids.place(latitude, longitude, observations.DECIMALS),
        )
