"""ZIP archives as data: refused before anything is written where they cannot be trusted."""
