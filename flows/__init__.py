"""Scheduled, parallel and recoverable runs of the pipeline with Prefect. No model code."""

import os

# Before anything here imports Prefect: nothing is sent anywhere unless the user asks for it.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
