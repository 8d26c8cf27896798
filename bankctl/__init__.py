"""`bankctl`, the command line of a bank-cluster.

It knows the cluster only through `bankd.client`, and starts in about a tenth of a second: modules
are imported when the command that needs them runs, argument parsing is the standard library's
(`parser`), and nothing here draws in trio except `bench run`.
"""
