"""What the paths of DICOMweb name. PS3.18 10.1.1, tables 10.4.1-1 to 10.6.1-1.

A path is read strictly: what is no UID is refused rather than asked for.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harmony.dicom.bulk import parse_path
from harmony.dicom.dicomjson import Path
from harmony.dicom.uids import is_uid
from harmony.envelope import Level
from harmony.errors import RequestError

MAX_FRAMES = 10_000

_FRAME = re.compile(r"[0-9]{1,9}", re.ASCII)


class Kind(enum.Enum):
    """What is wanted of a resource; the value is how a path says it."""

    SEARCH = "search"  # PS3.18 10.6
    STORE = "store"  # PS3.18 10.5
    INSTANCES = "instances"  # PS3.18 10.4.1.1.1
    METADATA = "metadata"  # PS3.18 10.4.1.1.2
    RENDERED = "rendered"  # PS3.18 10.4.1.1.3
    THUMBNAIL = "thumbnail"  # PS3.18 10.4.1.1.4
    FRAMES = "frames"  # PS3.18 10.4.1.1.6
    BULK = "bulk"  # PS3.18 10.4.1.1.5
    TITLES = "aets"  # who can be asked through this endpoint: ours
    ECHO = "echo"  # whether one of them answers: ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a path names.

    Attributes:
        level: of what is searched for or retrieved; None where there is none.
        study, series, instance: UIDs that the path names.
        frames: numbers from 1, of frames that are wanted; empty for all.
        bulk: where the bulk data stand.
        title: AE title or name of the backend that is to answer.
        depth: segments of the path, for references relative to it.
    """

    kind: Kind
    level: Level | None = None
    study: str | None = None
    series: str | None = None
    instance: str | None = None
    frames: tuple[int, ...] = ()
    bulk: Path = ()
    title: str | None = None
    depth: int = 0


_SEARCHED = {"studies": Level.STUDY, "series": Level.SERIES, "instances": Level.IMAGE}


def resource_of(path: str, *, storing: bool) -> Resource:
    """The resource that a decoded path below the root names; a slash at its end is passed over.

    Args:
        path: begins with ``/``.
        storing: the request is a POST, which stores.

    Raises:
        RequestError: 404 for what is nothing here, 400 for what is no UID or no frame number.
    """
    segments = path.strip("/").split("/") if path.strip("/") else []
    depth = path.count("/")
    title: str | None = None
    if segments[:1] == ["aets"]:
        if len(segments) == 1:
            return Resource(kind=Kind.TITLES, depth=depth)
        title = _title(segments[1])
        segments = segments[2:]
        if not segments:
            return Resource(kind=Kind.ECHO, title=title, depth=depth)
    found = _store(segments) if storing else _resource(segments)
    return Resource(
        kind=found.kind,
        level=found.level,
        study=found.study,
        series=found.series,
        instance=found.instance,
        frames=found.frames,
        bulk=found.bulk,
        title=title,
        depth=depth,
    )


def _store(segments: Sequence[str]) -> Resource:
    match segments:
        case ["studies"]:
            return Resource(kind=Kind.STORE)
        case ["studies", study]:
            return Resource(kind=Kind.STORE, study=_uid(study, "study"))
    raise _not_found()


def _resource(segments: Sequence[str]) -> Resource:
    match segments:
        case [("studies" | "series" | "instances") as what]:
            return Resource(kind=Kind.SEARCH, level=_SEARCHED[what])
        case ["studies", study, ("series" | "instances") as what]:
            return Resource(kind=Kind.SEARCH, level=_SEARCHED[what], study=_uid(study, "study"))
        case ["studies", study, "series", series, "instances"]:
            return Resource(
                kind=Kind.SEARCH,
                level=Level.IMAGE,
                study=_uid(study, "study"),
                series=_uid(series, "series"),
            )
        case ["studies", study, "series", series, "instances", instance, *rest]:
            return _part(
                Level.IMAGE,
                rest,
                study=_uid(study, "study"),
                series=_uid(series, "series"),
                instance=_uid(instance, "instance"),
            )
        case ["studies", study, "series", series, *rest]:
            return _part(
                Level.SERIES, rest, study=_uid(study, "study"), series=_uid(series, "series")
            )
        case ["studies", study, *rest]:
            return _part(Level.STUDY, rest, study=_uid(study, "study"))
    raise _not_found()


def _part(
    level: Level,
    rest: Sequence[str],
    *,
    study: str,
    series: str | None = None,
    instance: str | None = None,
) -> Resource:
    """What of a study, series or instance is wanted."""
    frames: tuple[int, ...] = ()
    bulk: Path = ()
    match rest:
        case []:
            kind = Kind.INSTANCES
        case [("metadata" | "rendered" | "thumbnail") as what]:
            kind = Kind(what)
        case ["frames", numbers] if instance is not None:
            kind, frames = Kind.FRAMES, _frames(numbers)
        case ["frames", numbers, ("rendered" | "thumbnail") as what] if instance is not None:
            kind, frames = Kind(what), _frames(numbers)
        case ["bulk", *steps] if instance is not None and steps:
            kind, bulk = Kind.BULK, parse_path("/".join(steps))
        case _:
            raise _not_found()
    return Resource(
        kind=kind,
        level=level,
        study=study,
        series=series,
        instance=instance,
        frames=frames,
        bulk=bulk,
    )


def _uid(text: str, what: str) -> str:
    if not is_uid(text):
        raise RequestError(
            f"the path names a {what} by what is no UID",
            code="bad-uid",
            hint="write digits and dots, at most 64 characters",
        )
    return text


def _title(text: str) -> str:
    if len(text) > 64 or not text.isprintable() or not text.strip():
        raise RequestError(
            "the path names a backend by what is no AE title",
            code="bad-title",
            http_status=404,
            hint="GET /aets lists those that there are",
        )
    return text


def _frames(text: str) -> tuple[int, ...]:
    """A list of frame numbers. PS3.18 10.4.1.1.6."""
    numbers = text.split(",")
    if len(numbers) > MAX_FRAMES:
        raise RequestError(
            f"more than {MAX_FRAMES} frames are asked for",
            code="too-many-frames",
            hint="ask for them in several requests",
        )
    if not all(_FRAME.fullmatch(number) and int(number) for number in numbers):
        raise RequestError(
            "the path holds what is no list of frame numbers",
            code="bad-frame-list",
            hint="frames are counted from 1: write frames/1,2,3",
        )
    return tuple(map(int, numbers))


def _not_found() -> RequestError:
    return RequestError(
        "there is nothing here",
        code="not-found",
        http_status=404,
        hint="what there is begins with /studies, /series, /instances or /aets, below the "
        "endpoint's path prefix",
    )


def reference(depth: int, segments: Sequence[str]) -> str:
    """A reference from the resource of a request to another one below the same root. RFC 3986 5.2.

    Relative, so that it holds behind another proxy that serves the root elsewhere.

    Args:
        depth: of the request's resource.
        segments: of the path of the other, below the root.
    """
    return "../" * (depth - 1) + "/".join(segments)
