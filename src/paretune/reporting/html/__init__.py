"""reports/report.html: one file that opens from disk, with the trials, the examples and what was asked and answered.

Python computes and packs, the ES modules in ``app/`` draw; ``page.py`` joins them. Nothing is built and nothing loaded.
"""
