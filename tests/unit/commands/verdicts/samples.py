"""A verdict, a picture that could not be read, and a process that stores batches until it is killed."""

from commands.verdicts.verdict import Refused, Verdict

VERDICT = Verdict(
    picture="a.png", picture_sha256="0a" * 32, product="part", method="oddpart", bundle_commit="c0ffee",
    bundle_sha256="ab" * 32, score=1.5, threshold=1.0, p_value=0.05, is_anomalous=True, unsure=False,
    explanations='{"branches": {"students": 1.5}}', time="2026-11-30T14:05:09.123Z", station="line 1", source="predict",
    note="is larger", tags={"lot": "123", "camera": "2"},
)  # fmt: skip
REFUSED = Refused("b.png", "0b" * 32, "is truncated", "2026-11-30T14:05:09.123Z", "line 1", "watch")

BATCHES = """
import sys
from dataclasses import replace
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import Verdict
verdict = Verdict('', '0a', 'part', 'x', None, 'ab', 1.5, 1.0, None, True, None, '{}', '2026-11-30', 'l', 'serve')
name, first = sys.argv[1], int(sys.argv[2])
with VerdictStore("v.sqlite") as store:
    while True:
        tags = {"lot": str(first // 500)}
        store.write([replace(verdict, picture=f"{name} {first + n}", tags=tags) for n in range(50)])
        first += 50
        print(first, flush=True)
"""
