"""HTTP: a host on sockets that trio owns, and the small layer that endpoints are written for.

* `host.HttpHost` accepts, limits, drains and stops. Each connection is a `connection.Connection`:
  bytes pass the `head.HeadGuard`, then hypercorn's protocols in `engine`, which is the only
  module that imports hypercorn.
* `router.Router` is the ASGI application of one network: a table of path prefixes that may
  change at run time.
* An endpoint is a `exchange.Handler`: it gets a `exchange.Request` and a `exchange.Reply` and
  raises `harmony.errors`. Before the head of the answer is out, these become problem documents
  (`problems`); after it the answer is broken off, so that no client takes it for whole.
* `accept` and `negotiation` choose what to answer with: `accept` knows the parameters that
  DICOMweb gives to media types.
"""
