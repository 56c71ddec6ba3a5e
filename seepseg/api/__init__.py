"""What `import seepseg` offers: a thin way into the rooms below."""
