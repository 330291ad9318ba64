"""One thing that can be wrong, and the files of its examples."""

from __future__ import annotations

from dataclasses import dataclass

from harmony.config.findings import Layer, Severity
from harmony.config.wording import quoted

_SEVERITIES = {"E": Severity.ERROR, "W": Severity.WARNING, "N": Severity.NOTE}
_LAYERS = {
    "0": Layer.FILES,
    "1": Layer.SCHEMA,
    "2": Layer.MEANING,
    "3": Layer.MEANING,
    "5": Layer.LIVE,
}

MAIN = "config.toml"


@dataclass(frozen=True, slots=True)
class File:
    """One file of an example. `encoding` is how it was saved."""

    name: str
    text: str
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that can be wrong.

    Attributes:
        code: ``HRM-``, the severity's letter, and the number that alone names the rule.
        template: the message, with the names of its fields in braces.
        bad: files that break the rule; ``config.toml`` is the main one. None at all means that
            the main file does not exist, or, in layer L3, that no file shows it.
        good: the same, put right.
    """

    code: str
    title: str
    template: str
    explanation: str
    bad: tuple[File, ...]
    good: tuple[File, ...]

    @property
    def severity(self) -> Severity:
        return _SEVERITIES[self.code[4]]

    @property
    def layer(self) -> Layer:
        return _LAYERS[self.code[5]]

    def message(self, **fields: object) -> str:
        """The template filled in; every field is escaped and kept short."""
        return self.template.format(**{name: quoted(value) for name, value in fields.items()})
