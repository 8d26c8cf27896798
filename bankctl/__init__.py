"""`bankctl`, the command line of a bank-cluster."""
