"""anirec: recommender systems on anime data."""

import os

# OpenMP reads it when torch is imported. Idle threads that spin instead of sleeping take the cores of other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
