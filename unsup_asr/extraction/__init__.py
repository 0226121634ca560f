"""An upstream over a corpus: plan, worker, launchers."""
