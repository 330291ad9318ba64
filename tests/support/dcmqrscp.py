"""DCMTK's dcmqrscp: a second PACS, with habits very different from Orthanc's.

It is case-sensitive, answers in each study's own character set, knows no patient level in the
study root, and moves only to hosts in its own table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import accepts, free_port, program, run

_CONFIG = """\
NetworkTCPPort = {port}
MaxPDUSize = 131072
MaxAssociations = 32
HostTable BEGIN
{hosts}
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{ae_title} {folder} RW (1000, 4096mb) ANY
AETable END
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where C-MOVE may go."""

    ae_title: str
    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DcmQrScp:
    """A running dcmqrscp."""

    ae_title: str
    port: int
    host: str = "127.0.0.1"

    def load(self, files: Iterable[Path], *, propose: str = "--propose-uncompr") -> None:
        """Store DICOM files.

        Args:
            propose: storescu's option for their transfer syntax, if it is none of the usual.
        """
        address = ("--call", self.ae_title, self.host, str(self.port))
        run("storescu", "--required", propose, *address, *files)


@contextlib.contextmanager
def dcmqrscp(
    root: Path,
    *,
    ae_title: str = "DCMQRSCP",
    destinations: Sequence[Destination] = (),
    accept: str = "--prefer-uncompr",
    options: Sequence[str] = (),
) -> Iterator[DcmQrScp]:
    """Run dcmqrscp until the block ends.

    Args:
        root: folder for its configuration, its log and its ``store``.
        accept: its option for the transfer syntaxes it takes and gives.
        options: further ones of its own.
    """
    (root / "store").mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = root / "dcmqrscp.cfg"
    hosts = [
        f"host{number} = ({to.ae_title}, {to.host}, {to.port})"
        for number, to in enumerate(destinations)
    ]
    config.write_text(
        _CONFIG.format(port=port, hosts="\n".join(hosts), ae_title=ae_title, folder=root / "store")
    )
    command: list[str | Path] = ["dcmqrscp", accept, *options, "--config", config]
    with program(command, root / "dcmqrscp.log") as started:
        started.wait_until(lambda: accepts("127.0.0.1", port))
        yield DcmQrScp(ae_title=ae_title, port=port)
