"""DCMTK's storescp, writing what it receives to a folder: a destination for C-MOVE."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import accepts, free_port, program

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreScp:
    """A running storescp, on all addresses of this machine."""

    ae_title: str
    port: int
    folder: Path

    def files(self) -> list[Path]:
        """What it has received so far; the newest may still be growing."""
        return sorted(self.folder.iterdir())


@contextlib.contextmanager
def storescp(
    root: Path,
    *,
    ae_title: str = "STORESCP",
    tls: Sequence[str | Path] = (),
    options: Sequence[str] = (),
) -> Iterator[StoreScp]:
    """Run storescp until the block ends.

    Args:
        root: folder for its log, and for ``received``.
        tls: `certificates.dcmtk_options`, if it shall speak TLS.
        options: further ones of its own.
    """
    folder = root / "received"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as running:
        for attempt in range(_ATTEMPTS):
            # It cannot take port 0; somebody else may be faster with the free one.
            port = free_port()
            started = running.enter_context(
                program(
                    [
                        *("storescp", "--aetitle", ae_title, "--output-directory", folder),
                        *("--bit-preserving", "--accept-all", "--fork"),
                        *("--max-pdu", "131072", *tls, *options, str(port)),
                    ],
                    root / "storescp.log",
                )
            )
            try:
                started.wait_until(functools.partial(accepts, "127.0.0.1", port))
                break
            except RuntimeError:
                if attempt == _ATTEMPTS - 1:
                    raise
        yield StoreScp(ae_title=ae_title, port=port, folder=folder)
