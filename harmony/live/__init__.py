"""What only the peers themselves can tell: L3 of the configuration check.

`connecting` reaches every backend and binds every listener of a configuration, for a moment, with
C-ECHO, negotiation, HTTP HEAD, and a bind that is closed at once; never with a query, a retrieve or
a store.
"""
