"""Registers a recogniser, and lets it serve if it passes the gate."""
