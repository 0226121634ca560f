"""`doctor`: one line for each thing that a run needs."""

from __future__ import annotations

import argparse

from unsup_asr.doctor import examine


def doctor(arguments: argparse.Namespace) -> int:
    """Print what works and what does not; 1 when a run would fail."""
    del arguments
    findings = []
    for finding in examine():
        findings.append(finding)
        print(
            f"{'ok ' if finding.is_ok else 'BAD'}  {finding.name:<12} {finding.found}", flush=True
        )
        if not finding.is_ok:
            print(f"     {'':<12} -> {finding.remedy}")
    return int(any(not finding.is_ok for finding in findings))
