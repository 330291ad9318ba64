"""The `echo` backend behind real endpoints: HTTP as JSON, DIMSE as success."""

from __future__ import annotations

import pytest
import trio

from harmony.backends.echo import EchoBackend
from harmony.envelope import Operation, Origin, RequestEnvelope
from harmony.pipeline import Pipeline, Route
from tests.support.fronted import fronted


async def test_an_http_request_is_described() -> None:
    secret = {"authorization": "Bearer hunter2", "cookie": "hunter2", "x-patient": "hunter2"}
    async with fronted(EchoBackend("echo")) as (client, observed):
        answer = await client.put(
            "/a%20b?c=d", content=b"x" * 100_000, headers={**secret, "content-type": "text/x"}
        )
    said = answer.json()
    headers = said.pop("headers")
    assert said == {
        "method": "PUT",
        "path": "/a%20b",
        "query": "c=d",
        "body_bytes": 100_000,
        "request_id": answer.headers["x-request-id"],
        "pipeline": "p",
    }
    assert (headers["content-type"], headers["content-length"]) == ("text/x", "100000")
    assert "hunter2" not in answer.text
    assert [each.outcome for each in observed.all] == ["ok"]


@pytest.mark.parametrize("method", ["HEAD", "GET", "DELETE"])
async def test_a_request_without_a_body(method: str) -> None:
    async with fronted(EchoBackend("echo")) as (client, _):
        answer = await client.request(method, "/")
    assert answer.status_code == 200
    assert bool(answer.content) == (method != "HEAD")


async def test_an_echo_succeeds() -> None:
    pipeline = Pipeline("p", [Route(EchoBackend("echo"))])
    request = RequestEnvelope(
        id="r",
        operation=Operation.ECHO,
        origin=Origin(pipeline="p", endpoint="e", caller="SCU"),
    )
    with trio.fail_after(5):
        async with pipeline.exchange(request) as response:
            assert [item async for item in response.items] == []
            assert response.items.outcome.status == 0
    assert pipeline.accepts(Operation.HTTP)
    assert not pipeline.accepts(Operation.FIND)
