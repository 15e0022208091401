"""Rows of text in local files: the formats that are read, and the user's own data sets."""
