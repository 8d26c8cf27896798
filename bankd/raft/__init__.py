"""Consensus as a pure state machine: messages and ticks in, a Ready out. No clock, no I/O."""
