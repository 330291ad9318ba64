"""Orthanc's configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import Authority

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
    client_certificate: bool = False,
    encoding: str = "Utf8",
) -> dict[str, object]:
    """What goes into ``orthanc.json``.

    Args:
        root: folder of its database, as Orthanc sees it.
        remote: whether others than this machine may use its HTTP side.
        tls: folder of `make_tls`, as Orthanc sees it; the DICOM port then speaks TLS only.
        client_certificate: whether callers by TLS must have one.
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
            "DicomTlsRemoteCertificateRequired": client_certificate,
        }
    return config


def make_tls(folder: Path, *hosts: str) -> Authority:
    """Write ``ca.crt``, and ``orthanc`` and ``harmony`` certificates and keys that it signed."""
    authority = Authority(folder)
    for name in ("orthanc", "harmony"):
        authority.issue(*hosts, name=name)
    return authority
