"""The running process: what is started, in which order, and how it ends.

Terms:

* `Daemon` (`running`): the root nursery with everything in it. It starts from below and ends
  from above: admin listener, backends, pipelines, HTTP listeners, *ready*; then back.
* *Drain*: report not ready, accept no more, let exchanges finish, then cancel what is left.
* `Stopper` (`stopping`): what a signal means, given those before it; and the last resort.
* `dump`: tasks and threads as log lines, on USR2.

Who owns what: the daemon owns the listeners and the lifespans of backends. Each pipeline has a
nursery of its own. Requests run in the tasks of their connections, so they end with the
listener that took them.
"""
