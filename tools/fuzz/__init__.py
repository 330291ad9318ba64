"""Fuzzing: many wrong inputs for what reads bytes of DIMSE peers, and the endpoint before it."""
