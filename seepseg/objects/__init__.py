"""Objects as arrays: components, features, the forest of trees, the classifier."""
