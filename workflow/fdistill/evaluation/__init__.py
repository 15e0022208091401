"""Evaluates outputs: metrics, risks, trivial systems, means over seeds, tables, figures, a report, the cost ledger."""
