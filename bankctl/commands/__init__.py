"""What each command does: one function each, called with a `Session` and the values the table names."""
