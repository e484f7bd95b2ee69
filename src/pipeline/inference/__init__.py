"""Code that a registered version carries: from a photo's bytes to an answer.

A version copies this folder and nothing else of the project, so nothing here may import
anything else of it.
"""
