"""Reads a collection into a manifest of good photos and a quarantine for the rest."""
