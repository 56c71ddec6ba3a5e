"""Looking over data sets and labels: problems, duplicates, balance, likely annotation errors."""
