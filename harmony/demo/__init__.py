"""A complete set-up to try out: a sample PACS on loopback, and an HTTP API in front of it.

Terms:

* *Study*: invented, and made anew each time with the same bytes (`studies`); its instances are
  built in `objects` with what is drawn in `pictures`.
* *Folder*: holds all there is of a demo: ``config.toml``, the archive, two instances to send,
  and a place for what clients fetch (`folders`). It is removed at the end unless it was asked
  for by name.

`configuration` writes the file, `filling` puts the studies into the archive, and `hints` says
what to try. The daemon then serves the file as it would any other.
"""
