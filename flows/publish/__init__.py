"""Whether a run passes, and how it is reported."""
