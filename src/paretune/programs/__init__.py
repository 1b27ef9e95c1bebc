"""LM programs: modules, the graph they form, and how a program is trained and scored."""
