"""The runner: plan, prepare, submit, watch, fetch, record.

decide.py says what happens to each job, plan_rows.py puts them in order, conduct.py carries them out, submit.py holds
the rule that protects money. Of what is scarce, ahead.py gives memory in the plan's order, budget.py units, and
slots.py the account's slots; line.py says who may overtake whom before that.
"""
