"""seepseg: finds oil seeps in radar images of the sea and salt in seismic images."""

__version__ = "0.1.0"
