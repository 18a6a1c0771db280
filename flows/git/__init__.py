"""What flows ask of git: commits, branches, the remote."""
