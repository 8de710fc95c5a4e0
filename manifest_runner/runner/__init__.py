"""The runner: plan, prepare, submit, watch, fetch, record.

plan.py decides what happens to each job, conduct.py carries it out, submit.py holds the rule that protects money.
"""
