"""Answers many photos at once."""
