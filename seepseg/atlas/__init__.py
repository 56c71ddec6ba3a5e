"""What is sent of zones: the page that opens offline."""
