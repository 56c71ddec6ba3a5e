"""`python -m seepseg`, which torchrun needs."""

from seepseg.cli.main import main

main()
