"""Decides which photos train, validate and test."""
