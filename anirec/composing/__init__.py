"""From a command line to configs that are checked: nothing is loaded before."""
