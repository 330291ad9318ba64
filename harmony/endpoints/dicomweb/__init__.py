"""DICOMweb in front of any backend that can FIND, GET or STORE. PS3.18 8 to 10.

* `endpoint`: the mount, its options, and what runs as long as it does.
* `dispatch`: which request is for which service.
* `asking`: what all services share: envelopes, references, what a client accepts.
* `searching` (QIDO-RS), `storing` (STOW-RS), `instances`, `metadata`, `frames`, `bulk` and
  `rendered` (WADO-RS), `wado_uri`, `titles` (``/aets``).
"""

from __future__ import annotations

from harmony.endpoints.dicomweb.endpoint import DicomwebEndpoint, Options

__all__ = ["DicomwebEndpoint", "Options"]
