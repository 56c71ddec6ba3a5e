"""What the scenes of prediction folders show of a common frame: read once, kept between runs."""
