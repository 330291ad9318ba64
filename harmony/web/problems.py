"""Errors as HTTP tells them: problem documents. RFC 9457."""

from __future__ import annotations

import json
import re
import traceback
import uuid
from collections.abc import Sequence
from http import HTTPStatus

from harmony.envelope import Headers
from harmony.errors import HarmonyError, RequestError

_TYPES = "https://harmony-proxy.readthedocs.io/problems#"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FRAMES = 3


class MethodNotAllowed(RequestError):
    """The path exists, the method does not; `allowed` goes out as ``Allow``."""

    default_code = "method-not-allowed"
    default_http_status = 405

    def __init__(self, allowed: Sequence[str]) -> None:
        methods = ", ".join(allowed)
        super().__init__("this method is not allowed here", hint=f"use {methods}")
        self.allowed = methods


def request_id(offered: str | None) -> str:
    """The id that the client gave, if it is well-formed, else a new one."""
    if offered is not None and _REQUEST_ID.fullmatch(offered):
        return offered
    return uuid.uuid4().hex


def problem(error: HarmonyError, *, request_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers and body that tell a caller of this error."""
    detail = error.detail
    comment = getattr(error, "comment", None)
    if comment:
        detail += f" ({comment})"
    document: dict[str, str | int] = {
        "type": _TYPES + error.code,
        "title": error.code.replace("-", " ").capitalize(),
        "status": error.http_status,
        "detail": f"{detail}; {error.hint}" if error.hint else detail,
        "instance": request_id,
    }
    dimse_status = getattr(error, "dimse_status", None)
    if dimse_status is not None:
        document["dicom_status"] = f"0x{dimse_status:04X}"
    for member in ("peer", "backend"):
        value = getattr(error, member, None)
        if value is not None:
            document[member] = value
    body = json.dumps(document, ensure_ascii=False).encode()
    headers: Headers = (
        ("content-type", "application/problem+json"),
        ("content-length", str(len(body))),
    )
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers += (("retry-after", str(retry_after)),)
    if isinstance(error, MethodNotAllowed):
        headers += (("allow", error.allowed),)
    return error.http_status, headers, body


def internal_error() -> HarmonyError:
    """What a caller is told of a fault of ours; the log has more under the same request id."""
    return HarmonyError("harmony met an error of its own", hint="its log has more")


def always(request_id: str) -> Headers:
    """Headers that every answer carries."""
    return (("x-request-id", request_id), ("x-content-type-options", "nosniff"))


def refusal(error: HarmonyError) -> bytes:
    """A whole HTTP/1.1 answer, for requests that never reached an application."""
    identity = request_id(None)
    status, headers, body = problem(error, request_id=identity)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    for name, value in (*headers, *always(identity), ("connection", "close")):
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def place(exc: BaseException) -> str:
    """The kind of an exception and where it came from, on one line.

    Without its text, which may quote what a client or a PACS sent.
    """
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    frames = traceback.extract_tb(exc.__traceback__)[-_FRAMES:]
    where = " < ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in reversed(frames)
    )
    return f"{type(exc).__name__} at {where}"
