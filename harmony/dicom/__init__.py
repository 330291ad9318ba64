"""DICOM as data: no socket, no task, no thread.

* `query`: what a client asks in JSON, checked, and encoded as an identifier.
* `dicomjson`: encoded matches as DICOM JSON (PS3.18 annex F). `elements` walks through their
  bytes, `charsets` turns their text into `str`.
* `multipart`, `part10`: instances in and out of HTTP bodies, in pieces.
* `status`: DIMSE statuses, rejections and aborts, and what they mean to an HTTP client.
* `strict_json`: JSON without surprises. `uids`: what a UID is.

Each takes bytes or values and gives bytes or values; what cannot be used raises one of
`harmony.errors`, and never quotes what it was given.
"""
