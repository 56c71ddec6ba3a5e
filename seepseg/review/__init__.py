"""What a person has changed in layers that seepseg wrote: read back, kept, and never lost."""
