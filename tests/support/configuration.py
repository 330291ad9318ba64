"""Configuration files for tests: written to a folder, loaded, looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from harmony.config.findings import Finding, Layer, Loaded, Severity
from harmony.config.loading import load_files
from harmony.config.rules import File
from harmony.config.schemas import Schemas, builtin_schemas

PIPELINE = """\
[pipelines.bridge]
endpoints = ["web"]
backends = ["pacs"]
"""
ENDPOINT = """\
[endpoints.web]
service = "http"
"""
BACKEND = """\
[backends.pacs]
service = "dicom"
[backends.pacs.options]
aet = "ORTHANC"
host = "localhost"
port = 4242
local_aet = "HARMONY"
"""
WHOLE = PIPELINE + ENDPOINT + BACKEND
SCP = """\
[endpoints.scp]
service = "dicom"
[endpoints.scp.options]
local_aet = "GATEWAY"
"""
ROUTER = PIPELINE.replace("web", "scp") + BACKEND + SCP


def write_files(folder: Path, files: Iterable[File]) -> Path:
    """Write an example; answer where its main file is, whether there is one or not."""
    for file in files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.text.encode(file.encoding))
    return folder / "config.toml"


def load_text(
    folder: Path,
    text: str,
    further: Mapping[str, str] | None = None,
    *,
    schemas: Schemas | None = None,
) -> Loaded:
    """Load `text` as the main file, with `further` files beside it."""
    files = [File("config.toml", text)]
    files += [File(name, other) for name, other in (further or {}).items()]
    return load_files(write_files(folder, files), schemas)


def codes(loaded: Loaded) -> list[str]:
    """Of all findings but the notes on what the files say."""
    return [
        finding.code
        for finding in loaded.findings
        if finding.severity is not Severity.NOTE or finding.layer is Layer.FILES
    ]


def only(loaded: Loaded, code: str) -> Finding:
    """The one finding with `code`."""
    (found,) = [finding for finding in loaded.findings if finding.code == code]
    return found


def marked(text: str, finding: Finding) -> str:
    """What the finding points at in the text of its file."""
    span = finding.span
    assert span.start.line == span.end.line
    line = text.split("\n")[span.start.line - 1]
    return line[span.start.column - 1 : span.end.column - 1]


def schemas_with(documents: Mapping[str, Mapping[str, object]]) -> Schemas:
    """The schemas of this version and further ones, by file name."""
    base = str(builtin_schemas().documents["common.json"]["$id"]).removesuffix("common.json")
    further = {name: {"$id": base + name, **schema} for name, schema in documents.items()}
    return Schemas({**builtin_schemas().documents, **further})
