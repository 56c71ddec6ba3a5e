"""Losses over the whole batch, without ignored pixels."""
