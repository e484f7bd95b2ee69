"""Trains a recogniser with the params as they stand."""
