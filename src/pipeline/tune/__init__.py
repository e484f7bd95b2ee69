"""Searches for better params."""
