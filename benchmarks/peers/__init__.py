"""Other people's methods, as anomalib has them, judged by our splits, thresholds and metrics."""
