"""What a process costs and holds, as Linux tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")
_RESET_PEAK = "5"  # proc(5), clear_refs


@dataclass(frozen=True, slots=True)
class Process:
    """A running one."""

    pid: int

    def cpu_seconds(self) -> float:
        """Of the processor, in user and system mode, since it began."""
        stat = self._read("stat")
        fields = stat[stat.rindex(")") + 2 :].split()  # the name before may hold anything
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Bytes that are resident."""
        return self._kib("VmRSS") * 1024

    def peak_memory(self) -> int:
        """The most that were, since it began or `reset_peak`."""
        return self._kib("VmHWM") * 1024

    def reset_peak(self) -> None:
        """Begin anew."""
        (self._folder / "clear_refs").write_text(_RESET_PEAK)

    def descriptors(self) -> int:
        return len(list((self._folder / "fd").iterdir()))

    def threads(self) -> int:
        return len(list((self._folder / "task").iterdir()))

    def waits(self) -> int:
        """How often it has given up the processor to wait for something, in its main thread."""
        return int(self._status("voluntary_ctxt_switches"))

    def connections(self, port: int) -> int:
        """Sockets of callers of this port that are open on this side."""
        rows = [line.split() for line in self._read("net/tcp").splitlines()[1:]]
        local, is_open = f":{port:04X}", ("01", "08")  # ESTABLISHED, CLOSE_WAIT
        return sum(row[1].endswith(local) and row[3] in is_open and row[9] != "0" for row in rows)

    def _kib(self, name: str) -> int:
        return int(self._status(name).split()[0])

    def _status(self, name: str) -> str:
        for line in self._read("status").splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return value.strip()
        raise KeyError(name)

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()

    @property
    def _folder(self) -> Path:
        return Path(f"/proc/{self.pid}")
