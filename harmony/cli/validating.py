"""What ``harmony validate`` prints, and which warnings it leaves out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harmony.config.annotations import render_github
from harmony.config.findings import Loaded, Severity
from harmony.config.report import render_json, render_text
from harmony.config.rules import find_rule
from harmony.config.sarif import render_sarif


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """How findings are shown.

    Attributes:
        verbose: notes too.
        colour: as a terminal shows it; of text alone.
    """

    verbose: bool
    colour: bool

    def render(self, loaded: Loaded, name: str) -> str:
        """All findings in the format of this name."""
        match name:
            case "json":
                return render_json(loaded, verbose=self.verbose)
            case "github":
                return render_github(loaded, verbose=self.verbose)
            case "sarif":
                return render_sarif(loaded, verbose=self.verbose)
        return render_text(loaded, verbose=self.verbose, colour=self.colour)


def ignored_codes(given: Iterable[str]) -> list[str]:
    """The full codes of what ``--ignore`` names.

    Raises:
        ValueError: there is no such rule, or it is an error.
    """
    codes: list[str] = []
    for text in given:
        rule = find_rule(text)
        if rule is None:
            raise ValueError(f"there is no rule {text!a}; `harmony explain --all` lists them")
        if rule.severity is Severity.ERROR:
            raise ValueError(f"{rule.code} is an error and cannot be ignored")
        codes.append(rule.code)
    return codes
