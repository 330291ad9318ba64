"""What a running Harmony tells: log lines and metrics. Never patient data, never secrets.

* `log`: one form for our lines and the libraries'. An allow-list of keys decides what passes;
  `get_logger` gives a logger, `configure` says where lines go.
* `failures`: an exception as words that are safe to log.
* `metrics`: counters and gauges of one daemon, read by Prometheus.
* `exchanges`: one line and one count for each exchange that is over.

A room that wants to tell something asks `log.get_logger` for a logger and names an event,
``association.rejected``, with keys from the list. A key that is not on it is counted, not shown.
"""
