"""Predictions as STAC: an item for each input, and a catalog for the folder."""
