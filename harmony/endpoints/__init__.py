"""Endpoints accept: one module per service, each an ``Options`` dataclass and a class.

``http`` speaks the JSON API in front of a backend that can do DIMSE: `json_api` has its
routes, `matches` and `answers` write what comes back. In front of others it passes requests on:
`pass_through`.

``dicomweb`` speaks DICOMweb; it is a package, with a module for each of its services.
`accounts` tells of each exchange of HTTP once it is over.

``dicom`` serves DIMSE callers: `admission` says who may call, `dimse_requests` runs each
request through the pipeline, `retrieving` sends instances back or on.
"""
