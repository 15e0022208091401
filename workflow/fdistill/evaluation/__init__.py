"""Evaluates outputs: metrics, risks, trivial systems, means over seeds, tables, figures, the report, the cost ledger."""
