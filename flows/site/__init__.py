"""The clone and the machine that flows work on."""
