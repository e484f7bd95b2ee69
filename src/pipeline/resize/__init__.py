"""Decodes every photo into a square of pixels."""
