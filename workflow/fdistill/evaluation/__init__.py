"""Evaluates outputs: metrics, risks, trivial systems, means over seeds, tables, figures and the cost ledger."""
