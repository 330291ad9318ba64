"""Orthanc as a process: on loopback, or in a network namespace that can be cut off."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tests.support.pacs.base import Pacs
from tests.support.pacs.config import Modality, make_tls, orthanc_config
from tests.support.processes import Program, free_port, run, succeeds

# TEST-NET-2: for documentation, never routed.
NETWORK = "198.51.100"
_MAX_NAMESPACES = 16  # of four addresses each, below those of containers
_NFT_VERDICTS = {
    "drop": "drop",
    "reset": "reject with tcp reset",
    "lossy": "numgen random mod 100 < 30 drop",
}


class ProcessPacs(Pacs):
    """Orthanc on loopback, on free ports.

    Args:
        root: folder for its database and its log.
        tls: whether the DICOM port speaks TLS; certificates are in ``root/tls``.
        client_certificate: whether callers by TLS must have one.
        nodelay: whether it sends at once, see `Program`.
    """

    def __init__(
        self,
        root: Path,
        *,
        tls: bool = False,
        client_certificate: bool = False,
        encoding: str = "Utf8",
        nodelay: bool = True,
    ) -> None:
        super().__init__(port=free_port(), http_port=free_port())
        self._nodelay = nodelay
        self._launch(
            root,
            prefix=(),
            remote=False,
            tls=tls,
            client_certificate=client_certificate,
            encoding=encoding,
        )

    def _launch(
        self,
        root: Path,
        *,
        prefix: Sequence[str],
        remote: bool,
        tls: bool,
        encoding: str,
        client_certificate: bool = False,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        if tls:
            make_tls(root / "tls", self.host, "localhost")
        config = orthanc_config(
            str(root),
            http_port=self.http_port,
            dicom_port=self.port,
            ae_title=self.ae_title,
            modalities=(Modality(ae_title="HARMONY", host=self.caller_host, port=11112),),
            remote=remote,
            tls=str(root / "tls") if tls else None,
            client_certificate=client_certificate,
            encoding=encoding,
        )
        file = root / "orthanc.json"
        file.write_text(json.dumps(config, indent=1))
        self._command = [*prefix, "Orthanc", str(file)]
        self._log = root / "orthanc.log"
        self.start()

    def start(self) -> None:
        """Start it again after `kill`."""
        self._program = Program(self._command, self._log, nodelay=self._nodelay)
        try:
            self.wait_until_ready()
        except BaseException:
            self._program.kill()
            raise

    def check_running(self) -> None:
        if not self._program.running:
            raise RuntimeError(f"Orthanc ended; its log: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End it with SIGKILL; its database survives."""
        self._program.kill()

    def freeze(self) -> None:
        """Stop it. Connections still come about, as the kernel accepts them."""
        self._program.send_signal(signal.SIGSTOP)
        self._program.wait_until(self._program.is_stopped)  # a busy machine takes its time

    def thaw(self) -> None:
        """Let it go on."""
        self._program.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()


class NamespacePacs(ProcessPacs):
    """Orthanc in a network namespace: an address of its own, and a cable that can be cut.

    Needs root. Restarting pytest cleans up what a killed run left behind.

    Args:
        index: which namespace, 0 to 15; two PACS at once need two.
    """

    def __init__(
        self, root: Path, *, index: int, tls: bool = False, encoding: str = "Utf8"
    ) -> None:
        assert 0 <= index < _MAX_NAMESPACES
        self._nodelay = True
        self._name = f"hpacs{index}"
        self._device = f"hpacs{index}a"
        Pacs.__init__(
            self, host=f"{NETWORK}.{4 * index + 2}", caller_host=f"{NETWORK}.{4 * index + 1}"
        )
        self._remove_namespace()
        # With the veth gone, packets to it would otherwise leave by the default route.
        guard_network()
        try:
            self._add_namespace()
            prefix = ("ip", "netns", "exec", self._name)  # execs: the process id stays
            self._launch(root, prefix=prefix, remote=True, tls=tls, encoding=encoding)
        except BaseException:
            self._remove_namespace()
            raise

    def cut(
        self,
        how: Literal["drop", "reset", "unplug", "slow", "lossy"],
        *,
        port: int | None = None,
    ) -> None:
        """Break its network until `heal`.

        Args:
            how: silence, RST, link down, 256 kbit/s, or three packets of ten lost.
            port: only this one; for silence, RST and loss.
        """
        if how == "unplug":
            run("ip", "-n", self._name, "link", "set", "eth0", "down")
        elif how == "slow":
            shape = ("tbf", "rate", "256kbit", "burst", "4kb", "latency", "400ms")
            run("tc", "-n", self._name, "qdisc", "replace", "dev", "eth0", "root", *shape)
        else:
            what = "meta l4proto tcp" if port is None else f"tcp dport {port}"
            rule = f"iifname eth0 {what} {_NFT_VERDICTS[how]}"
            self._inside(
                *("nft", "-f", "-"),
                stdin="table inet cut {\n chain c {\n type filter hook input priority 0;\n"
                f" {rule}\n }}\n}}\n",
            )

    def heal(self) -> None:
        """Undo `cut`, and wait until the PACS answers again, if it runs."""
        self._inside("nft", "delete", "table", "inet", "cut", check=False)
        run("tc", "-n", self._name, "qdisc", "del", "dev", "eth0", "root", check=False)
        run("ip", "-n", self._name, "link", "set", "eth0", "up")
        # Both ends remember for seconds that the other did not answer.
        run("ip", "neigh", "flush", "dev", self._device)
        run("ip", "-n", self._name, "neigh", "flush", "dev", "eth0")
        if self._program.running:
            self.wait_until_ready()

    def close(self) -> None:
        super().close()
        self._remove_namespace()

    def _inside(self, *command: str, check: bool = True, stdin: str | None = None) -> None:
        run("ip", "netns", "exec", self._name, *command, check=check, stdin=stdin)

    def _add_namespace(self) -> None:
        peer = ("peer", "name", "eth0", "netns", self._name)
        run("ip", "netns", "add", self._name)
        run("ip", "link", "add", self._device, "type", "veth", *peer)
        run("ip", "addr", "add", f"{self.caller_host}/30", "dev", self._device)
        run("ip", "link", "set", self._device, "up")
        run("ip", "-n", self._name, "link", "set", "lo", "up")
        run("ip", "-n", self._name, "addr", "add", f"{self.host}/30", "dev", "eth0")
        run("ip", "-n", self._name, "link", "set", "eth0", "up")

    def _remove_namespace(self) -> None:
        for pid in run("ip", "netns", "pids", self._name, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", self._name, check=False)
        run("ip", "link", "del", self._device, check=False)


def guard_network() -> None:
    """Keep packets for a test address that is gone from leaving by the default route."""
    run("ip", "route", "replace", "unreachable", f"{NETWORK}.0/24", "metric", "4278198272")


def worker_index() -> int:
    """Which worker of pytest-xdist this is; 0 without it."""
    digits = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", ""))
    return int(digits or 0)


def namespaces_work() -> bool:
    """Whether network namespaces can be made here."""
    return (
        os.geteuid() == 0
        and succeeds("ip", "netns", "list")
        and succeeds("unshare", "--net", "true")
    )
