"""From inputs to maps, polygons and findings."""
