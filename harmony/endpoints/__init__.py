"""Endpoints accept: one module per service, each an ``Options`` dataclass and a class.

``http`` speaks the JSON API in front of a backend that can do DIMSE: `json_api` has its
routes, `uploads` reads what STORE is sent, `answers` writes what comes back.

``dicom`` serves DIMSE callers: `admission` says who may call, `dimse_requests` runs each
request through the pipeline, `retrieving` sends instances back or on.
"""
