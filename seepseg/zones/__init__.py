"""Many maps to seep zones: where slicks come back, and how often of the times they could have been seen."""
