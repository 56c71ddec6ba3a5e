"""Files in and out: guarded readers, atomic writers."""
