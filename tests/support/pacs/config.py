"""Orthanc's configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

PLUGINS = "/usr/share/orthanc/plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """Where C-MOVE goes."""

    ae_title: str
    host: str
    port: int


def orthanc_config(
    root: str,
    *,
    http_port: int,
    dicom_port: int,
    ae_title: str = "ORTHANC",
    modalities: tuple[Modality, ...] = (),
    remote: bool = False,
    tls: str | None = None,
    encoding: str = "Utf8",
) -> dict[str, object]:
    """What goes into ``orthanc.json``.

    Args:
        root: folder of its database, as Orthanc sees it.
        remote: whether others than this machine may use its HTTP side.
        tls: folder of `make_tls`, as Orthanc sees it; the DICOM port then speaks TLS only.
        encoding: of all answers. Debian's own default, Latin1, drops every other script.
    """
    config: dict[str, object] = {
        "Name": "harmony-test",
        "StorageDirectory": f"{root}/storage",
        "IndexDirectory": f"{root}/index",
        "SaveJobs": False,
        "ConcurrentJobs": 4,
        "StableAge": 1,
        "HttpPort": http_port,
        "RemoteAccessAllowed": remote,
        "AuthenticationEnabled": False,
        "KeepAlive": True,
        "TcpNoDelay": True,
        "DicomAet": ae_title,
        "DicomPort": dicom_port,
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "UnknownSopClassAccepted": True,
        "DicomScpTimeout": 30,
        "DicomScuTimeout": 10,
        "MaximumPduLength": 131072,
        "DefaultEncoding": encoding,
        "OverwriteInstances": True,
        "SyncStorageArea": False,
        "DicomModalities": {
            modality.ae_title.lower(): {
                "AET": modality.ae_title,
                "Host": modality.host,
                "Port": modality.port,
                "UseDicomTls": tls is not None,
            }
            for modality in modalities
        },
        "Plugins": [f"{PLUGINS}/libOrthancDicomWeb.so"],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True},
    }
    if tls is not None:  # Orthanc does not start if these name files that are not there
        config |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": f"{tls}/orthanc.crt",
            "DicomTlsPrivateKey": f"{tls}/orthanc.key",
            "DicomTlsTrustedCertificates": f"{tls}/ca.crt",
            "DicomTlsRemoteCertificateRequired": False,
        }
    return config


def make_tls(folder: Path, *hosts: str) -> None:
    """Write ``ca.crt``, and ``orthanc`` and ``harmony`` certificates and keys that it signed."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    for who in ("orthanc", "harmony"):
        certificate = authority.issue_cert(*hosts)
        certificate.private_key_pem.write_to_path(folder / f"{who}.key")
        for number, part in enumerate(certificate.cert_chain_pems):
            part.write_to_path(folder / f"{who}.crt", append=number > 0)
