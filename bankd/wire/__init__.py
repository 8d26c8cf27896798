"""Bytes to core types and back: frames, handshake, codecs. No I/O, no clock."""
