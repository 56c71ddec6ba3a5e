"""Scores of runs and of finished rasters."""
