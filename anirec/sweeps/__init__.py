"""Many runs: sweeps, hyper-parameter searches, and the choice of the best configuration."""
