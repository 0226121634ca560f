"""Error rates and their intervals, boundaries, folds, the unsupervised criterion."""
