"""Recipes: YAML files that say where a collection comes from."""
