"""Who proposes the trials: one module for each kind of proposal."""
