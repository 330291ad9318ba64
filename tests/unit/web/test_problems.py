"""Errors as problem documents."""

from __future__ import annotations

import json

import pytest

from harmony.errors import DeadlineExceeded, HarmonyError, RequestError, Unavailable, UpstreamError
from harmony.web import problems
from harmony.web.problems import MethodNotAllowed, problem

MINIMAL = {"type", "title", "status", "detail", "instance"}


@pytest.mark.parametrize(
    ("error", "status", "members"),
    [
        (RequestError("no such key"), 400, {}),
        (RequestError("x", code="not-found", http_status=404), 404, {"title": "Not found"}),
        (RequestError("a", hint="do b"), 400, {"detail": "a; do b"}),
        (UpstreamError("x", dimse_status=0xA702), 502, {"dicom_status": "0xA702"}),
        (UpstreamError("x", dimse_status=0), 502, {"dicom_status": "0x0000"}),
        (UpstreamError("x", peer="P", backend="b"), 502, {"peer": "P", "backend": "b"}),
        (Unavailable("x", backend="b"), 503, {"backend": "b"}),
        (DeadlineExceeded("x"), 504, {}),
        (HarmonyError("x"), 500, {}),
    ],
)
def test_a_problem_says_what_is_known_and_no_more(
    error: HarmonyError, status: int, members: dict[str, object]
) -> None:
    told, headers, body = problem(error, request_id="r-1")
    document = json.loads(body)
    assert told == document["status"] == status
    assert document["instance"] == "r-1"
    assert document["type"] == f"https://harmony-proxy.readthedocs.io/problems#{error.code}"
    assert members.items() <= document.items()
    assert document.keys() <= MINIMAL | members.keys()
    assert dict(headers)["content-type"] == "application/problem+json"
    assert dict(headers)["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Unavailable("x"), "2"),
        (UpstreamError("x", retry_after=10), "10"),
        (UpstreamError("x"), None),
        (RequestError("x"), None),
    ],
)
def test_retry_after_is_told_where_it_is_known(error: HarmonyError, seconds: str | None) -> None:
    assert dict(problem(error, request_id="r")[1]).get("retry-after") == seconds


def test_a_method_that_is_not_allowed_names_those_that_are() -> None:
    status, headers, body = problem(MethodNotAllowed(("GET", "POST")), request_id="r")
    assert status == 405
    assert dict(headers)["allow"] == "GET, POST"
    assert "use GET, POST" in json.loads(body)["detail"]


@pytest.mark.parametrize("offered", ["a", "A-z_0.9", "x" * 64])
def test_a_well_formed_request_id_is_taken(offered: str) -> None:
    assert problems.request_id(offered) == offered


@pytest.mark.parametrize("offered", [None, "", "x" * 65, "a b", "a\n", "é", "a/b", '"'])
def test_any_other_request_id_is_replaced(offered: str | None) -> None:
    made = problems.request_id(offered)
    assert made != offered
    assert problems.request_id(made) == made
    assert problems.request_id(offered) != made


def test_a_refusal_is_a_whole_answer_that_ends_the_connection() -> None:
    head, _, body = problems.refusal(RequestError("x", http_status=431)).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 431 Request Header Fields Too Large"
    assert f"content-length: {len(body)}" in lines
    assert "connection: close" in lines
    assert "x-content-type-options: nosniff" in lines
    assert f"x-request-id: {json.loads(body)['instance']}" in lines


def test_the_place_of_an_exception_does_not_quote_it() -> None:
    def fail() -> None:
        raise LookupError("name of a patient")

    try:
        fail()
    except LookupError as exc:
        place = problems.place(ExceptionGroup("name", [exc]))
    assert place.startswith("LookupError at test_problems.py:")
    assert "fail" in place
    assert "name" not in place
