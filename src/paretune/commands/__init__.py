"""The command ``paretune``: one module a command."""
