"""The parts of a recogniser: backbones, heads, devices, LiteRT export, cached features."""
