"""How many answers a query may have, whatever the backend asks."""

from __future__ import annotations

from harmony.envelope import Query
from harmony.errors import RequestError


def check_limit(query: Query, backend: str, most: int) -> None:
    """See that a query asks for no more than the backend gives.

    Raises:
        RequestError
    """
    if query.limit is not None and query.limit > most:
        raise RequestError(
            f"limit {query.limit} is more than backend {backend} allows",
            code="limit-too-large",
            hint=f"ask for at most {most} and go on with `offset`",
        )


def too_many(backend: str, most: int) -> RequestError:
    """Nobody asked for a part, so a part must not look like the whole."""
    return RequestError(
        f"there are more than {most} matches",
        code="too-many-results",
        http_status=413,
        hint="narrow the query, page through it with `limit` and `offset`, or raise "
        f"`max_results` of backend {backend}",
    )
