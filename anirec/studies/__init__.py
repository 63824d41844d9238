"""Published studies, run on whatever data is here."""
