"""What runs when, and the steps of a scheduled run."""
