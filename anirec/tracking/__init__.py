"""What a run records: run folder, status, checkpoints, loggers and terminal output."""
