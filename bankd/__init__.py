"""bank-cluster: a replicated, strongly consistent, auditable bank ledger."""

__version__ = "0.1.0"
