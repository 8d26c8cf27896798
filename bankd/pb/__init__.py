"""Generated protobuf code, committed. Never edited: `make proto` writes it, a test compares it."""
