"""What a project is made of, and how a new one is made from a file of examples."""
