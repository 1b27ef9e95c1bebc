"""What a search would take, before anything is spent.

``estimate`` looks ahead at the trials, ``rehearsal`` writes the prompts of one of them for a model that is only
``recording`` them, ``earlier_calls`` looks into the ledger, ``sizes`` judges tokens, ``spending`` adds up, ``result``
says it.
"""
