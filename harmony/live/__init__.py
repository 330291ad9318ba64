"""What only the peers themselves can tell.

* `connecting`: L3 of the configuration check reaches every backend and binds every listener of a
  configuration, for a moment.
* `doctor`: examines one PACS, and words what to write there and here.

Both use C-ECHO, negotiation, HTTP HEAD, and a bind that is closed at once; never a query, a
retrieve or a store.
"""
