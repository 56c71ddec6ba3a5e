"""Scores as functions of counts."""
