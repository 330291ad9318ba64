"""TLS for whoever speaks it, DICOM or HTTP.

* `contexts`: the files of an options table as an `ssl.SSLContext`, in one strict profile.
* `faults`: why a handshake failed, in words that say what to change.
"""
