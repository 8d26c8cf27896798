"""What can be done with a data directory while no node runs on it: verify it, and show what stands in its files.

Rules
- Reads only. No file is opened for writing, none is made, none gets another name.
- One decoder: bytes are understood by storage/ and wire/, as a starting node understands them. Here is decided only
  what to do about damage, and that is never to stop at it.
- Bounded memory: one segment's bytes, and for a replay the ledger, which grows with the accounts and transfers in it.
"""
