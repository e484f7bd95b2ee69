"""Who reaches the page's server: each refusal, and what passes beside it."""

import asyncio
import json

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from pipeline.app import access
from pipeline.app.access import Access, AccessGuard

TOKEN = "a long token"


async def echo(scope, receive, send):
    body = await Request(scope, receive).body()
    about = {"path": scope["path"]} | ({"bytes": len(body)} if body else {})
    await JSONResponse(about)(scope, receive, send)


class Client:
    """Sends requests to a guard, without a network.

    Attributes:
        parts: Of the next requests' bodies.
        seconds: Between them.
        taken: How many the last request's receiver took.
    """

    def __init__(self, **access):
        self.guard = AccessGuard(echo, Access(**access))
        self.parts, self.seconds, self.taken = [b""], 0.0, 0

    def __call__(self, method, path, address="10.0.0.1", **headers):
        headers = {"host": "localhost:8080"} | {k.replace("_", "-"): v for k, v in headers.items()}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": (address, 1234),
        }
        sent, self.taken = [], 0

        async def receive():
            await asyncio.sleep(self.seconds)
            self.taken += 1
            part, more = self.parts[self.taken - 1], self.taken < len(self.parts)
            return {"type": "http.request", "body": part, "more_body": more}

        async def send(message):
            sent.append(message)

        asyncio.run(self.guard(scope, receive, send))
        start = next(message for message in sent if message["type"] == "http.response.start")
        self.headers = {k.decode(): v.decode() for k, v in start["headers"]}
        body = b"".join(message.get("body", b"") for message in sent)
        self.body = json.loads(body) if body else None
        return start["status"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:8080", 200),
        ("192.168.1.7", 200),
        ("[::1]:8080", 200),
        ("animals.example.org", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("[::1", 421),
        ("evil.example@localhost:80@evil.example", 421),
    ],
)
def test_a_name_that_is_not_the_apps_is_refused(host, status):
    client = Client(hosts=("Animals.example.org",))
    assert client("GET", "/api/model", host=host) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # curl
        ({"origin": "http://localhost:8080"}, 200),
        ({"origin": "http://localhost:8080", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://proxy.example"}, 200),
        ({"origin": "http://localhost:9999"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:8080.evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_another_page_may_not_write(method, headers, status):
    client = Client(hosts=("proxy.example",))
    assert client(method, "/api/answer", **headers) == status


def test_another_page_may_not_read_or_frame_or_run_anything():
    client = Client()
    for path, host in (("/", "localhost"), ("/api/model", "localhost"), ("/", "evil.example")):
        client("GET", path, host=host)
        written = client.headers["content-security-policy"]
        policy = dict(part.split(" ", 1) for part in written.split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert "unsafe-inline" not in written
        assert client.headers["cross-origin-resource-policy"] == "same-origin"
        assert client.headers["x-content-type-options"] == "nosniff"
        assert client.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in client.headers


def test_a_token_is_wanted_for_all_but_the_empty_page():
    client = Client(token=TOKEN)
    assert client("GET", "/") == client("GET", "/static/app.css") == 200
    assert client("GET", "/health") == client("POST", "/api/sign-in") == 200
    assert client("GET", "/api/model") == client("POST", "/api/answer") == 401
    assert client("GET", "/api/model", authorization=f"Bearer {TOKEN}") == 200
    assert client("GET", "/api/model", authorization=TOKEN) == 401
    assert client("GET", "/api/model", cookie="animal=; x") == 401
    response = JSONResponse({})
    client.guard.sign_in.remember(response, "/animals", secure=True)
    cookie = response.headers["set-cookie"]
    assert TOKEN not in cookie
    for part in ("HttpOnly", "SameSite=strict", "Secure", "Path=/animals"):
        assert part in cookie
    assert client("GET", "/api/model", cookie=cookie.split(";")[0]) == 200
    other = Client(token="another")
    assert other("GET", "/api/model", cookie=cookie.split(";")[0]) == 401


def test_guesses_of_the_token_are_few():
    client = Client(token=TOKEN)
    statuses = [client("GET", "/api/model", authorization=f"Bearer {i}") for i in range(30)]
    assert statuses == [401] * 10 + [429] * 20
    assert int(client.headers["retry-after"]) >= 6
    assert client("GET", "/api/model", authorization=f"Bearer {TOKEN}") == 200
    assert client("GET", "/api/model", "10.0.0.2", authorization="Bearer x") == 401


def test_a_thousand_requests_at_once_are_few():
    client = Client(per_second=0.001, burst=7)
    statuses = [client("POST", "/api/answer") for _ in range(1000)]
    assert statuses == [200] * 7 + [429] * 993
    assert client("POST", "/api/answer", "10.0.0.2") == 200
    assert client("GET", "/api/model") == 200  # reading stays possible


@pytest.mark.parametrize(
    ("path", "most"),
    [("/api/sign-in", 16 << 10), ("/api/training/start", 2 << 20), ("/api/table", 64 << 20)],
)
def test_a_body_that_is_parsed_is_bounded(path, most):
    client = Client()
    client.parts = [bytes(most // 4)] * 4
    assert client("POST", path, content_length=str(most)) == 200
    assert client.body == {"path": path, "bytes": most}
    client.parts = [bytes(most // 4)] * 9  # of which nobody says how many come
    assert (client("POST", path), client.taken) == (413, 5)
    assert client.body == {"message": f"the body has over {most:,} bytes"}
    assert (client("POST", path, content_length=str(most + 1)), client.taken) == (413, 0)


def test_who_is_refused_sends_no_body_and_uploads_have_limits_of_their_own():
    client = Client(token=TOKEN)
    client.parts = [bytes(1 << 20)] * 9
    assert (client("POST", "/api/training/start"), client.taken) == (401, 0)
    signed = {"authorization": f"Bearer {TOKEN}"}
    for path in ("answer", "heat", "unpack", "feedback"):
        assert client("POST", f"/api/{path}", **signed) == 200
        assert client.body == {"path": f"/api/{path}", "bytes": 9 << 20}


def test_a_body_that_is_parsed_and_does_not_arrive_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(access, "_SECONDS", 0.05, raising=False)
    client = Client()
    client.parts, client.seconds = [b"{", b"}"], 0.5
    assert client("POST", "/api/sign-in") == 408


@pytest.mark.parametrize(
    ("path", "inner"), [("/animals/api/x", "/api/x"), ("/api/x", "/api/x"), ("/animals/", "/")]
)
def test_a_proxy_may_strip_the_path_or_not(path, inner):
    client = Client(root_path="/animals")
    assert client("GET", path) == 200
    assert client.body == {"path": inner}


def test_without_its_slash_the_path_leads_to_it():
    client = Client(root_path="/animals")
    assert client("GET", "/animals") == 307
    assert client.headers["location"] == "/animals/"
    assert client("GET", "/animalsx") == 200
    assert client.body == {"path": "/animalsx"}
