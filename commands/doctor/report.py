"""Run every check and print its lines."""

import typer

from commands.doctor.findings import Finding, guarded
from commands.doctor.machine import check_disk, check_machine, check_packages, check_python
from commands.doctor.repository import (
    check_dvc,
    check_git,
    check_methods,
    check_products,
    check_profile,
    check_settings,
    check_weights,
)

CHECKS = (
    check_python, check_machine, check_disk, check_packages, check_profile, check_products, check_methods,
    check_settings, check_weights, check_git, check_dvc,
)  # fmt: skip
COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def examine(*, data: bool = False) -> int:
    """Print one line for each finding and return how many fail.

    Args:
        data: check nothing but settings, products and their files, and print only what fails.
    """
    found: list[Finding] = []
    for check in (check_settings, check_products) if data else CHECKS:
        for finding in guarded(check):
            if finding in found or (data and finding.level == "ok"):  # several checks read the same file
                continue
            found.append(finding)
            line = str(finding)
            typer.echo(typer.style(line[:5], fg=COLOURS[finding.level]) + line[5:])
    return sum(finding.level == "fail" for finding in found)
