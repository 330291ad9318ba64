"""Which configuration file is meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

VARIABLE = "HARMONY_CONFIG"
SEARCHED = (Path("config.toml"), Path("/etc/harmony/config.toml"))


class Chosen(NamedTuple):  # no dataclass: `--help` would wait for the module, a third of its time
    """The file to take and why; `path` is None if there is none."""

    path: Path | None
    note: str


def choose_file(
    argument: Path | None,
    environment: Mapping[str, str],
    searched: tuple[Path, ...] = SEARCHED,
) -> Chosen:
    """The argument, else ``HARMONY_CONFIG``, else the first that exists of those `searched`."""
    if argument is not None:
        return Chosen(path=argument, note="")
    if named := environment.get(VARIABLE):
        return Chosen(path=Path(named), note=f"taking {named}, named by {VARIABLE}")
    for path in searched:
        if path.is_file():
            return Chosen(path=path, note=f"taking {path}")
    looked = " nor ".join(str(path) for path in searched)
    return Chosen(
        path=None,
        note=f"no configuration: name a FILE or set {VARIABLE}; neither {looked} exists",
    )
