"""Models that predict the score of a post from its tags."""
