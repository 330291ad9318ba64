"""L2: what DICOM says of a configuration."""

from __future__ import annotations

from collections.abc import Iterator

from harmony.config.findings import Finding
from harmony.config.merging import Judged, Merged
from harmony.config.schemas import mapping

MAX_AE_TITLE = 16  # PS3.5 6.2, VR AE


def not_an_ae_title(merged: Merged) -> Iterator[Finding]:
    """E221: length and repertoire of a title."""
    for title in _titles(merged):
        if reason := ae_title_fault(title.text):
            yield title.source.finding(
                "HRM-E221",
                title.path,
                at=title.source.value_span(title.path),
                hint="1 to 16 characters, as the peer's own configuration shows them",
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
        yield title.source.finding(
            "HRM-W222",
            title.path,
            at=title.source.value_span(title.path),
            hint=f"`{better}`, unless the peer writes it so",
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
                at=backend.source.value_span(path),
                hint="`local_aet` is Harmony's own title; give it one that the peer knows it by",
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


def _titles(merged: Merged) -> Iterator[Judged]:
    yield from merged.judged.get("HRM-E221", ())


RULES = (not_an_ae_title, unusual_ae_title, same_title_on_both_sides)
