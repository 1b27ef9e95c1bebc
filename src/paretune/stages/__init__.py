"""The stages of dvc.yaml: one thin module each, run as `python -m paretune.stages.<name>`."""
