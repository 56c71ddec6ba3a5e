"""What other tools read: windows of scenes as tile files."""
