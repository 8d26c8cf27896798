"""A snapshot, as the state that it is (state.py), and as a file that somebody names (files.py)."""
