"""What is known of an experiment without references, and what to do next; `diagnose` finds it."""

from __future__ import annotations

from dataclasses import dataclass

from unsup_asr.report.signs import Finding

SAYS = {
    "good": "no sign that it failed; that is no proof: some failures leave none (docs/results.md)",
    "suspect": "there are signs that it failed",
    "unfinished": "it has not come to its end",
    "running": "it is running",
    "broken": "a stage broke",
}


@dataclass(frozen=True)
class Diagnosed:
    """What is known of an experiment. `state` is one of `SAYS`; `stage` and `error` where one broke
    or runs; `commands` to give next, the first of them first.
    """

    experiment: str
    state: str
    stage: str | None
    error: str | None
    findings: tuple[Finding, ...]
    commands: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a terminal."""
        where = f", stage {self.stage}" if self.stage else ""
        lines = [f"{self.experiment}: {SAYS[self.state]}{where}"]
        if self.error:
            lines.append(f"  ! {self.error}")
        lines += [f"  ! {finding.message}" for finding in self.findings]
        return [*lines, "next:", *(f"  {command}" for command in self.commands)]
