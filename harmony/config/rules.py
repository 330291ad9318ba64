"""The table of everything that can be wrong with a configuration.

A rule is one entry of the rulebook and one check elsewhere. Output, ``harmony explain`` and the
reference are made from the entries, so the examples are real: the tests run each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harmony.config.rulebook import dicom, files, listening, live, naming, security, structure, tls
from harmony.config.rulebook.rule import MAIN, File, Rule

__all__ = ["MAIN", "RULES", "File", "Rule", "find_rule"]

_ENTRIES = (
    *files.ENTRIES,
    *structure.ENTRIES,
    *naming.ENTRIES,
    *dicom.ENTRIES,
    *listening.ENTRIES,
    *tls.ENTRIES,
    *security.ENTRIES,
    *live.ENTRIES,
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.code: rule for rule in _ENTRIES})


def find_rule(text: str) -> Rule | None:
    """The rule that `text` names: ``HRM-E103``, ``e103`` or ``103``."""
    wanted = text.strip().upper().removeprefix("HRM-")
    for rule in RULES.values():
        if wanted in (rule.code[4:], rule.code[5:]):
            return rule
    return None
