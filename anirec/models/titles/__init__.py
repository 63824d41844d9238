"""Models that predict the mean score of a title from its content."""
