"""Outputs of a model behind an OpenAI-compatible endpoint: what is asked, what may go wrong, and what is kept.

`asking` asks for every row of a split, in the words of a `query`, by an `endpoint`; a `store` keeps each answer as it
arrives, and a `record` says what was asked for and what it cost.
"""
