"""The bundles of a service: loaded, verified, and replaced by a newer one while requests go on."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands.predict.bundled import BundleJudge
from stages.core.run.errors import UserError
from stages.core.runtime.bundle import load
from stages.core.runtime.manifest import SEAL, read_manifest
from stages.core.runtime.verifying import verify

LOG = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9_-]+")


def load_verified(path: Path, *, threads: int | None) -> BundleJudge:
    """Load a bundle and let it judge its own test pictures.

    Args:
        path: of its folder; a link is followed once, so that all files are of one bundle.
        threads: see `load`.

    Raises:
        UserError: it cannot be used, or scores otherwise than the pipeline.
    """
    bundle = load(os.path.realpath(path), threads=threads)
    for _ in verify(bundle):
        pass
    return BundleJudge(bundle)


@dataclass
class Product:
    """A product that is served.

    Attributes:
        name: in addresses.
        path: of its bundle; a link may lead to another one later.
        judge: the bundle in use. A job takes it once, so a newer one never judges half of a picture.
    """

    name: str
    path: Path
    threads: int | None
    judge: BundleJudge
    reloading: threading.Lock = field(default_factory=threading.Lock)

    @property
    def seal(self) -> str:
        """Hash of the manifest of the bundle in use."""
        return str(self.judge.bundle.manifest[SEAL])

    def reload(self) -> bool:
        """Take a bundle that changed; return whether it did.

        Raises:
            UserError: the new one cannot be used, scores otherwise than the pipeline, or is of another product; the old
                one stays in use.
        """
        with self.reloading:
            if read_manifest(Path(os.path.realpath(self.path)))[SEAL] == self.seal:
                return False
            judge = load_verified(self.path, threads=self.threads)
            if judge.bundle.product != self.judge.bundle.product:
                was, found = self.judge.bundle.product, judge.bundle.product
                raise UserError(f"{self.path}: is of the product {found}, not of {was}: the old bundle stays in use")
            self.judge = judge
            LOG.info("%s: from now on bundle %s judges", self.name, self.seal[:12])
            return True

    def about(self) -> dict[str, Any]:
        """Return what the service says of it."""
        manifest, threshold = self.judge.bundle.manifest, self.judge.calibration.threshold
        return {
            "name": self.name,
            "product": self.judge.bundle.product,
            "method": self.judge.bundle.method,
            "commit": manifest["commit"],
            "bundle_sha256": self.seal,
            "threshold": threshold.value,
            "false_alarm_budget": threshold.false_alarm_budget,
            "covers_logical_anomalies": self.judge.covers_components,
        }


def load_products(words: Sequence[str], *, threads: int | None) -> dict[str, Product]:
    """Load the bundles of a call.

    Args:
        words: folders of bundles, or NAME=FOLDER.
        threads: see `load`.

    Raises:
        UserError: one cannot be used, or two have the same name.
    """
    products: dict[str, Product] = {}
    for word in words:
        name, given, folder = word.partition("=")
        if not given or not NAME.fullmatch(name):
            name, folder = "", word
        judge = load_verified(Path(folder), threads=threads)
        name = name or judge.bundle.product
        if name in products:
            raise UserError(f"{folder}: {name} is served from {products[name].path} already: name it NAME={folder}")
        products[name] = Product(name, Path(folder), threads, judge)
        LOG.info("%s: %s, bundle %s", name, judge.bundle.method, products[name].seal[:12])
    return products
