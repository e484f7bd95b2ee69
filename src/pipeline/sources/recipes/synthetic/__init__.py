"""Draws a collection of stylised animals by code."""
