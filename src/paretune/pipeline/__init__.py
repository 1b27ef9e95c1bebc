"""From configuration to objects, and how the stages run."""
