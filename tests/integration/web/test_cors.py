"""Pages of other origins, before a whole Harmony: who may read what."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import trio

from tests.support.deployment import deployed, pipeline, table

OURS, OTHERS = "https://viewer.example:8443", "https://evil.example"
PREFLIGHT = {"access-control-request-method": "GET", "access-control-request-headers": "accept"}


@contextlib.asynccontextmanager
async def served(folder: Path, origins: str) -> AsyncIterator[httpx2.AsyncClient]:
    text = (
        f"[networks.default]\nhttp = {{ port = 0 }}\n{origins}\n"
        + pipeline("p", ["e"], ["b"])
        + table("endpoints.e", "http", path_prefix="/e")
        + '[backends.b]\nservice = "echo"\n'
    )
    with trio.fail_after(20):
        async with deployed(folder, text) as running, running.client() as client:
            yield client


def cors(answer: httpx2.Response) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ("", OURS, None),
        ("cors = {}", OURS, None),
        (f'cors = {{ origins = ["{OURS}"] }}', OURS, OURS),
        (f'cors = {{ origins = ["{OURS}"] }}', OTHERS, None),
        (f'cors = {{ origins = ["{OURS}"] }}', f"{OURS}0", None),
        (f'cors = {{ origins = ["{OURS}"] }}', "null", None),
        ('cors = { origins = ["*"] }', OTHERS, "*"),
    ],
)
async def test_who_may_read_an_answer(
    origins: str, origin: str, allowed: str | None, tmp_path: Path
) -> None:
    async with served(tmp_path, origins) as client:
        for path in ("/e/", "/nowhere"):
            answer = await client.get(path, headers={"origin": origin})
            assert answer.status_code == (200 if path == "/e/" else 404)
            assert cors(answer).get("access-control-allow-origin") == allowed
            assert ("Origin" in answer.headers.get("vary", "")) == ("origins" in origins)
            if allowed:
                exposed = answer.headers["access-control-expose-headers"]
                assert exposed == "X-Request-Id, Content-Location, Warning"


@pytest.mark.parametrize("origin", [OURS, OTHERS])
async def test_a_browser_that_asks_before_is_told(origin: str, tmp_path: Path) -> None:
    async with served(tmp_path, f'cors = {{ origins = ["{OURS}"] }}') as client:
        answer = await client.options("/e/", headers={"origin": origin, **PREFLIGHT})
    if origin == OURS:
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == OURS
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-max-age"] == "600"
    else:
        assert answer.status_code == 403
        assert answer.json()["type"].endswith("#origin-not-allowed")
        assert "access-control-allow-origin" not in answer.headers


async def test_other_requests_are_none_of_its_business(tmp_path: Path) -> None:
    async with served(tmp_path, f'cors = {{ origins = ["{OURS}"] }}') as client:
        plain = await client.get("/e/")
        options = await client.options("/e/", headers={"origin": OURS})
    assert cors(plain) == {}
    assert plain.headers["vary"] == "Origin"
    assert options.json()["method"] == "OPTIONS"


async def test_without_origins_an_options_request_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path, "") as client:
        answer = await client.options("/e/", headers={"origin": OURS, **PREFLIGHT})
    assert answer.json()["method"] == "OPTIONS"
    assert cors(answer) == {}
