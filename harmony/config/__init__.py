"""Configuration: TOML files in, findings or a `Configuration` out.

Terms:

* `Source`: one file as read, with the place of every key and value (`sources`, `positions`).
* *Layer*: L0 reads files, L1 holds each to its schema, L2 judges the merged whole. A layer
  never reports what follows from an error of an earlier one.
* `Rule`: code, texts and examples of one thing that can be wrong (`rules`, `rulebook`). A
  finding is a rule broken at a place (`findings`).
* *Fragment*: the schema of one service's options, ``schema/<role>/<service>.json``
  (`schemas`). Which fragments there are decides which services there are.

A file passes: `sources` -> `structure` -> `merging` -> `names`, `dicom_rules`, `listeners`,
`routes`, `tls_rules` -> `building`; `loading` leads it through and `report` prints what came of
it. Besides configuration files only those of certificates and keys are read; no socket is opened
and no name resolved.

Importing this package is cheap: the JSON Schema library is loaded by the first `load`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from harmony.config.findings import Finding, Loaded, Severity, Skipped
from harmony.config.model import Configuration

__all__ = ["Configuration", "Finding", "Loaded", "Severity", "Skipped", "load"]


def load(
    path: Path,
    *,
    files: bool = True,
    environment: bool = True,
    ignored: Collection[str] = (),
) -> Loaded:
    """Read the configuration whose main file is `path`, and everything it leads to.

    Whatever is wrong with the files comes back as findings; nothing is raised for it.

    Args:
        files: whether files that the configuration names, such as certificates, are looked at.
        environment: whether environment variables that it names must be set.
        ignored: codes of warnings and notes that are left out.
    """
    from harmony.config.loading import Checks, load_files  # jsonschema takes 0.1 s

    checks = Checks(files=files, environment=environment, ignored=frozenset(ignored))
    return load_files(path, checks=checks)
