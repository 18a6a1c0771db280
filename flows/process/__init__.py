"""Commands that end with the run that started them."""
