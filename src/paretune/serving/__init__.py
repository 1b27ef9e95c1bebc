"""The winner out of the project: its requests for use elsewhere, answers to new rows, and a service."""
