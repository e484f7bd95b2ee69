"""The library behind the stages: photos of animals in, a served recogniser out."""
