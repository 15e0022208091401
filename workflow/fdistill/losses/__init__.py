"""Losses: f-divergences, objectives made of them, and their computation in chunks of positions."""
