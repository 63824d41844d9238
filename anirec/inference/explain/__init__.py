"""`anirec explain`: why a model predicts what it predicts."""
