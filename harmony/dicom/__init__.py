"""DICOM as data: no socket, no task, no thread.

* `query`: what a client asks in JSON, checked, and encoded as an identifier.
* `identifier`: what a DIMSE caller asks, checked, and what it is answered.
* `dicomjson`: encoded matches, and metadata of instances, as DICOM JSON (PS3.18 annex F).
  `elements` walks through their bytes, `values` and `charsets` turn their text into `str`, and
  `jsonvalues` makes of a value what stands for it in JSON.
* `scan`: finds an element by passing over what stands before it; `located`: where a value lies.
* `pixels`: the frames of an instance, with `encapsulated` and `pixel_media`; `bulk`: any other
  value by its path; `encapsulated_document`: a PDF or a video in an instance.
* `transcode`: a small data set in another uncompressed transfer syntax.
* `reencode`: a whole instance into the other little endian syntax, on its way.
* `peek`: a few attributes from the beginning of an instance on its way.
* `web_resources`, `web_query`: paths and queries of DICOMweb; `native_xml`: DICOM JSON as XML;
  `store_response`: the fates of stored instances.
* `multipart`, `part10`: instances in and out of HTTP bodies, in pieces.
* `status`: DIMSE statuses, rejections and aborts, and what they mean to an HTTP client;
  `status_codes`: the statuses by name.
* `answering`: the other way, what a failure is to a DIMSE caller.
* `strict_json`: JSON without surprises. `uids`: what a UID is.

Each takes bytes or values and gives bytes or values; what cannot be used raises one of
`harmony.errors`, and never quotes what it was given.
"""
