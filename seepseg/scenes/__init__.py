"""Whole scenes as data: their files, what labels each of them, and windows read from those that stay open."""
