"""Blocking files: records, segments, the log, the data directory. No event loop."""
