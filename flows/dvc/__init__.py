"""What flows ask of DVC: the pipeline, runs of stages, transfers."""
