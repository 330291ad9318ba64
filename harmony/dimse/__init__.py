"""DIMSE: associations that speak to a PACS, as things trio can own, bound and cancel.

Terms:

* `Target`: whom to call and as whom, with every limit and deadline.
* `Link`: one association of PS3.8 as a stream of fragments in and out (`link`). It is made by
  an engine; the one here lets pynetdicom run the upper layer (`pynetdicom_engine`).
* `Association`: DIMSE-C operations on a link: echo, find, get, move, store (`association`).
* `AssociationPool`: at most so many associations to one target, a few of them held for some
  seconds (`pool`).

A request passes: pool -> association -> link -> socket. Callers see `Association` and
`AssociationPool` only: neither says anything of threads or of pynetdicom.

Who owns what: trio opens the socket and does TLS. The engine's blocking part runs in
``trio.to_thread`` as a child task of the pool's nursery and is never abandoned: shutting the
socket down ends every wait inside it. An association that an operation did not end in order
is hung up, never returned.
"""
