"""Losses, honouring ignored pixels and summed over the batch."""
