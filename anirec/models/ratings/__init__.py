"""Models that predict ratings and rank items for users."""
