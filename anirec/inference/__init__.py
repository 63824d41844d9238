"""What finished runs are good for: predictions, lists, fans; and to be run again."""
