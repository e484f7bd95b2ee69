"""Tests a recogniser on photos that nothing before it has seen."""
