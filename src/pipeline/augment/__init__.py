"""Draws altered copies of the training pictures."""
