"""What a search would take, before anything is spent.

``estimate`` looks ahead at the trials, ``rehearsal`` writes the prompts of one of them, ``earlier_calls`` hears these
and looks into the ledger, ``sizes`` judges tokens, ``spending`` adds up, ``text`` says it.
"""
