"""Sentinel-1 GRD products: what one holds, and its pixels as calibrated backscatter."""
