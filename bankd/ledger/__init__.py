"""The bank as a deterministic state machine. Pure: no clock, no randomness, no I/O."""
