"""L2: what DICOM says of a configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from harmony.config.findings import Finding
from harmony.config.merging import Definition, Judged, Merged
from harmony.config.schemas import mapping
from harmony.config.sop_classes import names_a_sop_class, nearest_keyword

MAX_AE_TITLE = 16  # PS3.5 6.2, VR AE
MAX_UID = 64  # PS3.5 9.1

_COMPONENT = re.compile("0|[1-9][0-9]*")


def not_an_ae_title(merged: Merged) -> Iterator[Finding]:
    """E221: length and repertoire of a title."""
    for title in _titles(merged):
        if reason := ae_title_fault(title.text):
            yield title.finding(
                "HRM-E221",
                "1 to 16 characters, as the peer's own configuration shows them",
                value=title.text,
                reason=reason,
            )


def unusual_ae_title(merged: Merged) -> Iterator[Finding]:
    """W222: a title that is allowed and probably not meant."""
    for title in _titles(merged):
        if ae_title_fault(title.text):
            continue
        stripped = title.text.strip(" ")
        if title.text != stripped:
            what, better = "outer spaces", stripped
        elif stripped != stripped.upper():
            what, better = "lower-case letters", stripped.upper()
        else:
            continue
        yield title.finding(
            "HRM-W222",
            f"`{better}`, unless the peer writes it so",
            value=title.text,
            what=what,
        )


def same_title_on_both_sides(merged: Merged) -> Iterator[Finding]:
    """W223: a backend that calls itself what it calls its peer."""
    for backend in merged.intact("backends"):
        options = mapping(backend.table.get("options"))
        theirs, ours = options.get("aet"), options.get("local_aet")
        if isinstance(theirs, str) and isinstance(ours, str) and theirs.strip() == ours.strip():
            path = (*backend.path, "options", "local_aet")
            yield backend.source.finding(
                "HRM-W223",
                path,
                hint="`local_aet` is Harmony's own title; give it one that the peer knows it by",
            )


def move_without_receiver(merged: Merged) -> Iterator[Finding]:
    """E224: instances of a C-MOVE need somewhere to arrive."""
    for backend in merged.intact("backends"):
        options = mapping(backend.table.get("options"))
        if (
            backend.table.get("service") == "dicom"
            and options.get("retrieve") == "move"
            and "receiver" not in options
        ):
            path = (*backend.path, "options", "retrieve")
            yield backend.source.finding(
                "HRM-E224",
                path,
                hint='write `receiver = "ENDPOINT"` with the name of a `dicom` endpoint, or '
                '`receiver = { local_aet = "TITLE", port = 11112 }`',
            )


def archive_of_two(merged: Merged) -> Iterator[Finding]:
    """E226: two archives in one folder. Silent for a backend that nothing uses: it opens none."""
    used = {reference.name for reference in merged.references() if reference.kind == "backends"}
    seen: dict[str, Definition] = {}
    for backend in merged.intact("backends"):
        folder = mapping(backend.table.get("options")).get("folder")
        if (
            backend.table.get("service") != "archive"
            or backend.name not in used
            or not isinstance(folder, str)
        ):
            continue
        first = seen.setdefault(os.path.normpath(merged.folder / folder), backend)
        if first is not backend:
            path = (*backend.path, "options", "folder")
            yield backend.source.finding(
                "HRM-E226",
                path,
                hint=f"name `{first.name}` in both pipelines, or give each its own folder",
                related=(first.related(f"backend `{first.name}`"),),
                a=first.name,
                b=backend.name,
                folder=folder,
            )


def peer_without_a_mark(merged: Merged) -> Iterator[Finding]:
    """E227: a peer that everybody would be."""
    for peer in merged.intact("peers"):
        if not peer.table.get("ae_titles") and not peer.table.get("addresses"):
            yield peer.source.finding(
                "HRM-E227",
                peer.path,
                at=peer.source.key_span(peer.path),
                hint='write `ae_titles = ["TITLE"]`, `addresses = ["10.1.2.3"]`, or both',
                name=peer.name,
            )


def not_a_uid(merged: Merged) -> Iterator[Finding]:
    """E228: form and length of a UID."""
    for uid in merged.judged.get("HRM-E228", ()):
        if reason := uid_fault(uid.text):
            yield uid.finding(
                "HRM-E228",
                "for example `1.2.840.10008.5.1.4.1.1.2`, CT Image Storage",
                value=uid.text,
                reason=reason,
            )


def not_a_sop_class(merged: Merged) -> Iterator[Finding]:
    """E229: a class that no instance can have."""
    for given in merged.judged.get("HRM-E229", ()):
        if not names_a_sop_class(given.text):
            guess = nearest_keyword(given.text)
            yield given.finding(
                "HRM-E229",
                f"did you mean `{guess}`?"
                if guess
                else "for example `CTImageStorage` or `1.2.840.10008.5.1.4.1.1.2`",
                value=given.text,
            )


def ae_title_fault(title: str) -> str:
    """Why the text is not an AE title (PS3.5 6.2); empty if it is one."""
    if not title.strip(" "):
        return "it is empty" if not title else "it has only spaces"
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in title):
        return "it has a control character"
    if "\\" in title:
        return "it has a backslash"
    if not title.isascii():
        return "it has a character outside ASCII"
    if len(title) > MAX_AE_TITLE:
        return f"it has {len(title)} characters, {MAX_AE_TITLE} are allowed"
    return ""


def uid_fault(uid: str) -> str:
    """Why the text is not a UID (PS3.5 9.1); empty if it is one."""
    if len(uid) > MAX_UID:
        return f"it has {len(uid)} characters, {MAX_UID} are allowed"
    if not uid or set(uid) - set("0123456789."):
        return "it has other characters than digits and dots" if uid else "it is empty"
    components = uid.split(".")
    if "" in components:
        return "a number is missing beside a dot"
    if not all(_COMPONENT.fullmatch(component) for component in components):
        return "a number begins with 0"
    return "" if len(components) > 1 else "it has no dot"


def _titles(merged: Merged) -> Iterator[Judged]:
    yield from merged.judged.get("HRM-E221", ())


RULES = (
    not_an_ae_title,
    unusual_ae_title,
    same_title_on_both_sides,
    move_without_receiver,
    archive_of_two,
    peer_without_a_mark,
    not_a_uid,
    not_a_sop_class,
)
