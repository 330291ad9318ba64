"""The command line: arguments in, output and an exit code out.

``main`` parses and dispatches; ``validate``, ``reference`` and ``versions`` are the verbs that
need no network. A verb imports what it needs when it runs, so that ``--help`` is quick.
"""
