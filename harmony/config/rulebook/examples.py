"""Pieces that the examples are put together from."""

from __future__ import annotations

from harmony.config.rulebook.rule import MAIN, File


def main_file(text: str) -> tuple[File, ...]:
    return (File(MAIN, text),)


PACS = """\
[backends.pacs]
service = "dicom"
options = { aet = "ORTHANC", host = "localhost", port = 4242, local_aet = "HARMONY" }
"""
WEB = """\
[endpoints.web]
service = "http"
"""
PIPELINE = """\
[pipelines.bridge]
endpoints = ["web"]
backends = ["pacs"]
"""
WHOLE = PIPELINE + WEB + PACS
ORIGIN = """\
[backends.origin]
service = "http"
options = { url = "https://files.example" }
"""
SCP = """\
[endpoints.scp]
service = "dicom"
options = { local_aet = "GATEWAY" }
"""
ROUTER = PIPELINE.replace("web", "scp") + SCP + PACS

# Made for these examples and of no other use: everybody has this key.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIHQMIGDoAMCAQICAQEwBQYDK2VwMBIxEDAOBgNVBAMMB2V4YW1wbGUwHhcNMjYw
MTAxMDAwMDAwWhcNNDYwMTAxMDAwMDAwWjASMRAwDgYDVQQDDAdleGFtcGxlMCow
BQYDK2VwAyEAQQUaPVwHt6aVzWvwkmdK3VOyyOpkn8Eqkad/RDhSUGYwBQYDK2Vw
A0EAEx4iEMEvOgwTj6zKO7KptB0Duu6mfIr7t4kzW23Se8Z95JUT26OfWb8tZn/3
XOmWqOr/x0JE8CjZM/Lc8NbvCA==
-----END CERTIFICATE-----
"""
EXPIRED = """\
-----BEGIN CERTIFICATE-----
MIHQMIGDoAMCAQICAQEwBQYDK2VwMBIxEDAOBgNVBAMMB2V4YW1wbGUwHhcNMjAw
MTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAwWjASMRAwDgYDVQQDDAdleGFtcGxlMCow
BQYDK2VwAyEAdKm/17oaP0KrF5PySvBoEtKHoPB0Z0YeptHdFSD4SwEwBQYDK2Vw
A0EA4ypU6uByrmtAHc5QQYiVKYNXZwfBl763OiIY1MdATxNo/n11uM0cNeBs+0sN
IOvW6byDlVqTjrq7+/qgyNYIAg==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEICPmRriyc99nFa0wK5MufhKFLI5qHv31KgBJcIPWjHOR
-----END PRIVATE KEY-----
"""
OTHER_KEY = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIPTftHO3B8iFx9v7q2yIeK6QhuVvFDzxi8exlSgBbw/H
-----END PRIVATE KEY-----
"""
ENCRYPTED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBCdseTeGQOi/Q8TgHhT
xVGZAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQ8989/XdEbJKxuNU+
JOpqLgRA4F1A3RqUH56Ph6gpccHZllu4UOf8wXmYGlky/6itvlHz4Chj8Ij+JFh5
LgKL5gIF5QnJEMt+O4IkEOIY/JndWg==
-----END ENCRYPTED PRIVATE KEY-----
"""


def with_tls(options: str, *further: File) -> tuple[File, ...]:
    """A backend with these options of TLS, and the files beside the main one."""
    return (File(MAIN, WHOLE.replace(" }", f", tls = {{ {options} }} }}")), *further)
