"""Compares current photos and answers with those of the validation split."""
