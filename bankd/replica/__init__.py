"""One node's mind: raft and ledger composed, waiting calls, read rounds. Pure."""
