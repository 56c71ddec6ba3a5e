"""Pixels and the Earth: where a scene lies, what a mask leaves out of it, and layers of polygons."""
