"""Keep one node's snapshots: take, send and receive them, in small steps that any driver can pace. No scheduler."""
