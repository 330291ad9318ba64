"""DIMSE: associations, asked for and accepted, as things trio can own, bound and cancel.

* `Link`: one association of PS3.8 as a stream of fragments in and out (`link`). It is made by
  an engine (`engines`): Harmony's own on trio (`trio_link`), or one that lets pynetdicom run
  the upper layer (`pynetdicom_link`).

Towards a PACS, as a service class user:

* `Target`: whom to call and as whom, with every limit and deadline.
* `Association`: DIMSE-C operations on a link: echo, find, get, move, store (`association`).
* `AssociationPool`: at most so many associations to one target, a few of them held for some
  seconds (`pool`).
* `Arrivals`: retrieves by C-MOVE, and the objects that come for them on other associations.

For a caller, as a service class provider:

* `Listener`: sockets, TLS, limits and drain (`listener`); `first_pdu` reads the request.
* `negotiate`: which presentation contexts a caller gets (`negotiation`).
* `ServedAssociation`: requests in, final responses out (`serving`, `serving_streams`); what
  they mean is a `Provider`'s business (`provider`).

A request to a PACS passes pool -> association -> link -> socket; one of a caller passes
socket -> listener -> link -> served association -> provider. The rooms above see neither
threads nor pynetdicom.

Who owns what: trio opens and accepts sockets and does TLS. An engine runs a link in a child
task of the pool's or the listener's nursery; pynetdicom's blocking part goes to
``trio.to_thread`` from there and is never abandoned: shutting the socket down ends every wait
inside it. An association that an operation did not end in order is hung up, never returned.
"""
