"""Which tiles train, validate and test, so that no scene is on two sides and every class can be learned."""
