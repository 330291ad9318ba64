"""Leads the files through all layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harmony.config import (
    dicom_rules,
    listeners,
    names,
    reaching,
    routes,
    security_rules,
    tls_rules,
)
from harmony.config.building import build_configuration
from harmony.config.findings import (
    FILE_START,
    Finding,
    KeyPath,
    Layer,
    Loaded,
    Severity,
    Skipped,
)
from harmony.config.ignoring import without_ignored
from harmony.config.merging import Merged, merge, object_of
from harmony.config.schemas import MAIN, PIPELINES, Schemas, builtin_schemas, mapping
from harmony.config.sources import Source, read_source
from harmony.config.structure import MAX_FINDINGS, Structure
from harmony.config.wording import near

MAX_FILES = 1000
DEFAULT_FOLDER = "pipelines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Which checks there are.

    Attributes:
        files: of files that the configuration names.
        environment: of environment variables.
        ignored: codes of warnings and notes that are left out.
    """

    files: bool = True
    environment: bool = True
    ignored: frozenset[str] = frozenset()


def load_files(path: Path, schemas: Schemas | None = None, checks: Checks | None = None) -> Loaded:
    """See `harmony.config.load`; `schemas` are those of this version if None."""
    checks = checks or Checks()
    schemas = schemas or builtin_schemas()
    work = _Work(schemas=schemas, structure=Structure(schemas), checks=checks)
    main = work.read(path, MAIN)
    if not any(finding.code == "HRM-E001" for finding in work.findings):
        for file in work.further_files(main, path):
            work.read(file, PIPELINES)
    merged = merge(work.intact, work.broken, work.schemas, path.parent)
    work.judge(merged)
    work.findings = without_ignored(work.findings, work.sources, checks.ignored)
    configuration = None
    if not any(finding.severity is Severity.ERROR for finding in work.findings):
        configuration = build_configuration(path, merged)
    return Loaded(
        configuration=configuration,
        findings=tuple(sorted(work.with_excerpts(), key=lambda finding: finding.sort_key)),
        files=tuple(source.file for source in work.sources),
        skipped=tuple(work.skipped),
        sources=tuple(work.sources),
    )


@dataclass(slots=True, kw_only=True)
class _Work:
    """What is known so far.

    Attributes:
        sources: every file opened, the main one first.
        intact: those that are TOML, with the name of their schema.
        incomplete: why names may be missing; empty if none can be.
    """

    schemas: Schemas
    structure: Structure
    checks: Checks
    sources: list[Source] = field(default_factory=list)
    intact: list[tuple[Source, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    broken: set[tuple[str, KeyPath]] = field(default_factory=set)
    incomplete: str = ""

    def read(self, path: Path, schema: str) -> Source:
        """L0 and L1 of one file."""
        source, fault = read_source(path, shown_path(path))
        self.sources.append(source)
        if fault is not None:
            self.findings.append(fault)
            self.incomplete = self.incomplete or f"`{source.file}` is not readable as TOML"
            if schema == MAIN:
                self.intact.append((source, schema))  # an empty one, for the rest to stand on
            return source
        self.intact.append((source, schema))
        found = self.structure.check(source, schema)
        if len(found) == MAX_FINDINGS:
            reason = f"only the first {MAX_FINDINGS} findings in `{source.file}` are listed"
            self.skipped.append(Skipped(layer=Layer.SCHEMA, reason=reason))
        self.findings.extend(found)
        for finding in found:
            self.broken.add((source.file, object_of(finding.path)))
            if _may_hide_names(finding.path):
                self.incomplete = self.incomplete or f"a table of `{source.file}` is not understood"
        return source

    def further_files(self, main: Source, path: Path) -> list[Path]:
        """The files of the pipelines directory, in the order of their names."""
        key = ("proxy", "pipelines_path")
        named = mapping(main.document.get("proxy")).get("pipelines_path")
        if any(finding.path in (key, key[:1]) for finding in self.findings):
            self.incomplete = "the pipelines directory is not known"
            return []
        folder = path.parent / (named if isinstance(named, str) else DEFAULT_FOLDER)
        shown = shown_path(folder)
        where: KeyPath = key if named else ()
        at = main.value_span(where)
        if not folder.is_dir():
            if named:
                hint = "create it, or correct `pipelines_path`"
                fault = main.finding("HRM-E004", where, at=at, hint=hint, dir=shown)
                self.findings.append(fault)
                self.incomplete = f"`{shown}` does not exist"
            return []
        try:
            entries = sorted(entry for entry in folder.iterdir() if not _same(entry, path))
        except OSError as error:
            return self._unreadable(main, where, shown, (error.strerror or "not possible").lower())
        files = [entry for entry in entries if entry.name.endswith(".toml")]
        if len(files) > MAX_FILES:
            return self._unreadable(main, where, shown, f"it holds more than {MAX_FILES} files")
        if not files:
            self.findings.append(main.finding("HRM-W005", where, at=at, dir=shown))
        self.findings.extend(_not_read(entries))
        return files

    def _unreadable(self, main: Source, where: KeyPath, folder: str, reason: str) -> list[Path]:
        finding = main.finding(
            "HRM-E001", where, at=main.value_span(where), file=folder, reason=reason
        )
        self.findings.append(finding)
        self.incomplete = f"`{folder}` cannot be read"
        return []

    def judge(self, merged: Merged) -> None:
        """L2."""
        rules = [
            *dicom_rules.RULES,
            *listeners.RULES,
            *routes.RULES,
            *reaching.RULES,
            *security_rules.RULES,
        ]
        if self.checks.files:
            rules += tls_rules.OF_FILES
        else:
            self._leave_out("certificates, keys and secrets in files (`--no-files`)")
        if self.checks.environment:
            rules += security_rules.OF_THE_ENVIRONMENT
        else:
            self._leave_out("environment variables (`--no-environment`)")
        rules += tls_rules.RULES
        if self.incomplete:
            reason = f"names (rules 201 to 209, 225): {self.incomplete}"
            self.skipped.append(Skipped(layer=Layer.MEANING, reason=reason))
        else:
            rules = [*names.RULES, *rules]
        for rule in rules:
            self.findings.extend(rule(merged))

    def _leave_out(self, reason: str) -> None:
        self.skipped.append(Skipped(layer=Layer.MEANING, reason=reason))

    def with_excerpts(self) -> Iterator[Finding]:
        """The findings with the lines they are about, now that all secrets are known."""
        sources = {source.file: source for source in self.sources}
        for finding in self.findings:
            source = sources.get(finding.file)
            yield replace(finding, excerpt=source.excerpt(finding.span)) if source else finding


def shown_path(path: Path) -> str:
    """The path as findings show it: relative to the working directory if it lies below it."""
    try:
        return str(path.relative_to(Path.cwd())) if path.is_absolute() else str(path)
    except (OSError, ValueError):  # no working directory, or not below it
        return str(path)


def _may_hide_names(path: KeyPath) -> bool:
    """Whether a whole table is unknown or misshapen, so that definitions in it are not seen."""
    nameless = ("proxy", "admin", "log")
    return len(path) < 2 and not (path and near(str(path[0]), nameless))


def _not_read(entries: Iterable[Path]) -> Sequence[Finding]:
    findings = []
    for entry in entries:
        if not entry.name.endswith(".toml") and entry.is_file():
            source = Source(file=shown_path(entry), text="", document={})
            findings.append(source.finding("HRM-N006", (), at=FILE_START, file=source.file))
    return findings


def _same(entry: Path, main: Path) -> bool:
    try:
        return entry.samefile(main)
    except OSError:
        return False
