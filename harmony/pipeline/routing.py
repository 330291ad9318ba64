"""Which requests, and which instances, are for a backend."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]  # in no __all__

from harmony.dicom.peek import peek
from harmony.envelope import Instance, RequestEnvelope
from harmony.interfaces import Backend

Facts: TypeAlias = Mapping[str, tuple[str, ...]]

# What a request says by itself, and what only its query or each of its instances says.
OF_REQUESTS = frozenset(("called_aet", "calling_aet", "peer", "operation"))
OF_CONTENT = frozenset(("modality", "sop_class", "transfer_syntax"))

_MODALITY, _MODALITIES_IN_STUDY, _SOP_CLASS_UID = 0x00080060, 0x00080061, 0x00080016
_ALWAYS: Facts = MappingProxyType({})
_KEYWORDS = {entry[4]: uid for uid, entry in UID_dictionary.items() if entry[4]}
_UID_PATTERN = re.compile(r"[0-9.*?]+", re.ASCII)


class Route:
    """A backend of a pipeline, and which requests are for it.

    Args:
        backend: as shared by all pipelines that name it.
        when: attribute -> patterns, of which one must match; all attributes must. In a pattern
            ``*`` stands for any text and ``?`` for any character. SOP classes and transfer
            syntaxes are UIDs or keywords. Nothing given means every request.

    Raises:
        ValueError: an attribute or a keyword that is not known.
    """

    def __init__(self, backend: Backend, when: Facts = _ALWAYS) -> None:
        unknown = when.keys() - OF_REQUESTS - OF_CONTENT
        if unknown:
            raise ValueError(f"`when` knows no {', '.join(sorted(unknown))}")
        self.backend = backend
        self._conditions = {
            name: _compile(_resolved(patterns) if name in _RESOLVED else patterns)
            for name, patterns in when.items()
        }

    @property
    def attributes(self) -> frozenset[str]:
        """Those that it looks at."""
        return frozenset(self._conditions)

    @property
    def looks_at_content(self) -> bool:
        """Whether each instance of a STORE must be looked at."""
        return not OF_CONTENT.isdisjoint(self._conditions)

    def matches(self, facts: Facts, *, among: Collection[str] = OF_REQUESTS | OF_CONTENT) -> bool:
        """Whether one value of each attribute, `among` these, fits; one that is absent does not."""
        return all(
            any(fits(value) for value in facts.get(name, ()))
            for name, fits in self._conditions.items()
            if name in among
        )


def facts_of(request: RequestEnvelope) -> Facts:
    """What routes can know of a request as a whole."""
    origin = request.origin
    facts: dict[str, tuple[str, ...]] = {"operation": (request.operation.value,)}
    if origin.called is not None:  # a DIMSE caller; that of HTTP is no AE title
        facts |= {"called_aet": (origin.called,), "calling_aet": (origin.caller,)}
    if origin.peer is not None:
        facts["peer"] = (origin.peer,)
    if request.query is not None:
        keys = {key.tag: key.values for key in request.query.keys}
        facts["modality"] = keys.get(_MODALITY, ()) + keys.get(_MODALITIES_IN_STUDY, ())
        facts["sop_class"] = keys.get(_SOP_CLASS_UID, ())
    return facts


def ruled_by(facts: Facts) -> frozenset[str]:
    """What of the content a query names, so that nothing else can meet it.

    No value, and one with wildcards, leaves open what it meets. PS3.4 C.2.2.2.3 and C.2.2.2.4.
    """
    return frozenset(
        name
        for name in OF_CONTENT
        if (values := facts.get(name)) and not any(set(value) & set("*?") for value in values)
    )


async def facts_of_instance(instance: Instance, wanted: Collection[str]) -> tuple[Facts, Instance]:
    """What routes can know of an instance, and the instance, of which a part may be read."""
    facts: dict[str, tuple[str, ...]] = {
        "sop_class": (instance.sop_class_uid,),
        "transfer_syntax": (instance.transfer_syntax,),
    }
    if "modality" in wanted:
        found, instance = await peek(instance, (_MODALITY,))
        facts["modality"] = tuple(found.values())
    return facts, instance


def backends_of(routes: Sequence[Route]) -> tuple[Backend, ...]:
    """Each backend once, in order."""
    return tuple({route.backend.name: route.backend for route in routes}.values())


_RESOLVED = frozenset(("sop_class", "transfer_syntax"))


def _resolved(patterns: Sequence[str]) -> list[str]:
    """UID patterns as they are, keywords as the UIDs that they mean. PS3.6 annex A."""
    resolved: list[str] = []
    for pattern in patterns:
        if _UID_PATTERN.fullmatch(pattern):
            resolved.append(pattern)
            continue
        fits = _compile((pattern,))
        uids = [uid for keyword, uid in _KEYWORDS.items() if fits(keyword)]
        if not uids:
            raise ValueError(f"`{pattern}` is neither a UID nor a keyword of DICOM")
        resolved += uids
    return resolved


def _compile(patterns: Sequence[str]) -> Callable[[str], bool]:
    wildcards = {"*": ".*", "?": "."}
    expression = "|".join(
        "".join(wildcards.get(char) or re.escape(char) for char in pattern) for pattern in patterns
    )
    fullmatch = re.compile(expression, re.DOTALL).fullmatch
    return lambda value: fullmatch(value) is not None
