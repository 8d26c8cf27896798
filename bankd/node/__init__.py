"""The server on trio: the only async code of a node."""
