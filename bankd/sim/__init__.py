"""A deterministic world for replicas: network, disks, clocks, clients and faults in one process, and judges over it.

Nothing here reads a clock, the environment, or any randomness but `random.Stream`: the same plan gives the same run,
event by event, in every process (docs/simulator.md).
"""
