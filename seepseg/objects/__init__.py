"""Objects: components, their outlines and measures, features, the forest of trees, the classifier."""
