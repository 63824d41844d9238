"""anirec: recommender systems on anime data."""
