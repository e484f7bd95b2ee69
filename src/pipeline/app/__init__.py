"""Serves the web page of `animal app`."""
