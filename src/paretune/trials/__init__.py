"""What a trial is, on disk too, and how trials compare: pure functions of their records.

``record`` and ``store`` hold what is known of a trial, ``goals`` what a search aims at; ``frontier`` and ``winner``
follow from both.
"""
