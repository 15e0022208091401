"""The process of a job: ranks, signals, precision, progress, errors, redaction, and checks of settings."""
