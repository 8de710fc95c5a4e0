"""The runner: plan, prepare, submit, watch, fetch, record.

decide.py says what happens to each job, plan.py puts them in order, conduct.py carries them out, submit.py holds the
rule that protects money.
"""
