"""What is made of many maps for people: the page of zones, labels of a review, the queue of what to look at."""
