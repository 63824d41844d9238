"""Many runs: launched, searched, gone on with, chosen from."""
