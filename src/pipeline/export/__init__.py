"""Writes a recogniser for other places: phones, ONNX, Docker."""
