"""HTTP out: a client for one origin, as a backend has it.

* `HttpClient` asks: `ask` is a block in which an `Answer` can be read.
* `Credentials`, `ClientTimeouts` and `ClientLimits` say how to treat it.
* `peer` says in words, and in `harmony.errors`, what went wrong.

Connections are those of httpcore2, the core of httpx2. Each request goes where the configuration
says and nowhere else: no redirect is followed, no proxy of the environment is used, and no
cookie is kept. A body comes as it was sent: nothing is decoded.
"""

from harmony.web.client.client import Answer, HttpClient
from harmony.web.client.peer import Peer
from harmony.web.client.settings import ClientLimits, ClientTimeouts, Credentials

__all__ = [
    "Answer",
    "ClientLimits",
    "ClientTimeouts",
    "Credentials",
    "HttpClient",
    "Peer",
]
