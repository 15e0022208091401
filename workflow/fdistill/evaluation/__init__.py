"""Evaluation: metrics, risks, trivial systems, means over seeds, tables and figures."""
