"""Compares what is asked and answered now with what was tested."""
