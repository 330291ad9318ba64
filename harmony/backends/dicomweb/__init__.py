"""The ``dicomweb`` backend: asks a DICOMweb server, for DIMSE and HTTP callers alike.

`searching` is FIND by QIDO-RS, `retrieving` GET by WADO-RS, `storing` STORE by STOW-RS;
`refusals` says what a status means that is no success.
"""

from harmony.backends.dicomweb.backend import DicomwebBackend, Options

__all__ = ["DicomwebBackend", "Options"]
