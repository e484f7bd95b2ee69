"""Fetches collections by recipes: YAML files that name their origin."""
