"""Pools the answers to the frames of one event."""

BLANK = "blank"  # the label of photos without an animal
