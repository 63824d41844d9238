"""Use of finished runs: predictions, recommendations, fan bases of new titles, and reproduction."""
