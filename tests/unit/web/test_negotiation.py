"""Accept headers, as clients really send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmony.errors import RequestError
from harmony.web.negotiation import choose

JSON, NDJSON = "application/json", "application/x-ndjson"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/x-ndjson", NDJSON),
        ("APPLICATION/X-NDJSON", NDJSON),
        ("application/x-ndjson, application/json;q=0.5", NDJSON),
        ("application/json;q=0.5, application/x-ndjson;q=0.4", JSON),
        ("*/*;q=0.1, application/x-ndjson", NDJSON),
        ("application/json;q=0, */*", NDJSON),
        ('text/html, application/json; profile="a,b;q=0"', JSON),
    ],
)
def test_the_best_offered_type_is_chosen(accept: str | None, expected: str) -> None:
    assert choose(accept, (JSON, NDJSON)) == expected


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "*/*;q=0", "text/*;q=x"])
def test_nothing_acceptable_is_406_and_says_what_there_is(accept: str) -> None:
    with pytest.raises(RequestError) as caught:
        choose(accept, (JSON,))
    assert caught.value.http_status == 406
    assert JSON in (caught.value.hint or "")


@given(st.text())
def test_any_header_gives_an_offered_type_or_406(accept: str) -> None:
    status, chosen = 200, JSON
    try:
        chosen = choose(accept, (JSON, NDJSON))
    except RequestError as exc:
        status = exc.http_status
    assert chosen in (JSON, NDJSON)
    assert status in (200, 406)
