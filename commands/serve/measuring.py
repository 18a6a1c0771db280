"""What a service counts, for Prometheus: GET /metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from commands.serve.products import Product

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)


class Metrics:
    """The counters of one service."""

    def __init__(self, waiting: Callable[[], int], held: Callable[[], int]) -> None:
        """Make the counters.

        Args:
            waiting: returns how many pictures wait.
            held: returns how many bytes of requests are held.
        """
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "oddpart_requests", "Requests to judge pictures", ["product", "status"], registry=registry
        )
        self.verdicts = Counter("oddpart_verdicts", "Verdicts", ["product", "verdict"], registry=registry)
        self.unsure = Counter("oddpart_unsure", "Verdicts that are unsure", ["product"], registry=registry)
        self.judging = Histogram(
            "oddpart_judging_seconds",
            "Seconds of a graph for a picture",
            ["product"],
            buckets=SECONDS,
            registry=registry,
        )
        self.answering = Histogram(
            "oddpart_request_seconds", "Seconds from a request to its answer", ["product"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.reloads = Counter(
            "oddpart_reloads", "Bundles that were reloaded", ["product", "outcome"], registry=registry
        )
        self.bundle = Gauge(
            "oddpart_bundle_info", "The bundle in use", ["product", "method", "bundle_sha256"], registry=registry
        )
        Gauge("oddpart_waiting_pictures", "Pictures that wait", registry=registry).set_function(waiting)
        Gauge("oddpart_held_bytes", "Bytes of requests in memory", registry=registry).set_function(held)

    def count(self, product: Product, row: Mapping[str, Any], seconds: float) -> None:
        """Count a verdict."""
        self.verdicts.labels(product.name, "anomalous" if row["is_anomalous"] else "normal").inc()
        self.judging.labels(product.name).observe(seconds)
        if row["unsure"]:
            self.unsure.labels(product.name).inc()

    def text(self, products: Mapping[str, Product]) -> bytes:
        """Return everything as Prometheus reads it."""
        self.bundle.clear()
        for product in products.values():
            self.bundle.labels(product.name, product.judge.bundle.method, product.seal).set(1)
        return generate_latest(self.registry)
