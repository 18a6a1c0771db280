"""A topic of `benchmarks.gpu` whose checks fail in all the ways in which a check can."""

import os
import signal
import time

import torch

from benchmarks.gpu.measure import Check, Outcome, Setting, agree


def not_finite(setting: Setting) -> Outcome:
    return Outcome([torch.tensor([1.0, float("nan"), float("inf")])])


def out_of_memory(setting: Setting) -> Outcome:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 EiB")


def raises(setting: Setting) -> Outcome:
    raise RuntimeError("expected scalar type Half\nbut found | Float")


def differs(setting: Setting) -> Outcome:
    return Outcome([torch.ones(2)], note=agree(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]), tolerance=0.01))


def returns_nothing(setting: Setting) -> Outcome:
    return Outcome([])


def crashes(setting: Setting) -> Outcome:
    os.kill(os.getpid(), signal.SIGSEGV)
    return Outcome([torch.ones(1)])


def hangs(setting: Setting) -> Outcome:
    time.sleep(600)
    return Outcome([torch.ones(1)])


def is_right(setting: Setting) -> Outcome:
    return Outcome([torch.ones(1)], seconds=0.25, per="step", note="as it should be")


def checks(setting: Setting) -> list[Check]:
    ways = (not_finite, out_of_memory, raises, differs, returns_nothing, crashes, hangs, is_right)
    return [Check(way.__name__, way) for way in ways]
