"""What happens to one request between an endpoint and its backends.

* `Pipeline`: joins them; its `exchange` is the scope of one request.
* `Route`: a backend of a pipeline, and which requests are for it.

A request goes through the middleware to the *strategy*, which asks one backend or several:
`failover` the next one that can be reached, `fan_out` all of them, `merge` all that may have a
part of the answer. STORE is routed for each instance, in `storing`. A pipeline with one backend
for every request has no choice, and goes to it directly.
"""

from __future__ import annotations

from harmony.pipeline.exchange import Pipeline
from harmony.pipeline.routing import Route

__all__ = ["Pipeline", "Route"]
