"""Published studies: their definitions, and runs of them on the data that is available."""
