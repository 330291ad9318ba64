"""Endpoints accept: one module per service, each an ``Options`` dataclass and a class.

``http`` speaks the JSON API in front of a backend that can do DIMSE: `json_api` has its
routes, `uploads` reads what STORE is sent, `answers` writes what comes back.
"""
