"""Audits of data sets and labels: problems, duplicates, balance, likely annotation errors."""
