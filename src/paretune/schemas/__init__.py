"""What goes in and comes out of a language model: data models, and every way of writing and reading a record."""
