"""Serves a recogniser over HTTP."""
