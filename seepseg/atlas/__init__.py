"""What is sent of zones and made of their review: the page that opens offline, labels for training."""
