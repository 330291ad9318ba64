"""DICOM's upper layer (PS3.8) and message layer (PS3.7) as data and decisions, without I/O.

What h11 is to HTTP: bytes go in, events come out; what the user wants goes in, bytes come out.
Nothing here waits, opens a socket, starts a thread or knows another library.

From the wire up:

* `pdus`, `user_information`: the seven PDUs and their items, from and to bytes (PS3.8 9.3,
  PS3.7 D.3.3).
* `reading`: a stream of bytes cut into PDUs, under limits.
* `states`: the protocol machine as one table (PS3.8 9.2).
* `connection`: a `Connection`, one side of an association: `receive_data`, `next_event`,
  `send`, `send_data`.
* `negotiation`: what both sides agree on.
* `messages`: a `Packer` cuts a DIMSE message into P-DATA, an `Assembler` tells what fragments
  are; a data set is a stream for both (PS3.7 6.3, PS3.8 annex E).
* `commands`: command sets, from and to bytes (PS3.7 6.3.1, 9, 10, E.1).

Reading is tolerant of what does no harm, and bounded before anything is kept; writing is
strict. Whatever a peer sends ends in an event, never in another exception than those that the
functions name.
"""
