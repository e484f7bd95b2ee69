"""Computes what stages share of a set of photos: hashes, groups, statistics and shards."""
