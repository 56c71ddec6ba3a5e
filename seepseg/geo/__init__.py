"""Pixels and the Earth: where a scene lies, and what a mask leaves out of it."""
