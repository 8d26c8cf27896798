"""The gRPC door: a process of its own that serves bank.v1 through the client."""
