"""DICOM's message layer as data: no socket, no thread, no pydicom.

* `commands`: command sets of DIMSE messages, from and to bytes (PS3.7 6.3.1, E.1).

The state machine of PS3.8 still comes from pynetdicom, behind `harmony.dimse`.
"""
