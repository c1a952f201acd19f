"""What must hold of calls, frameworks, tasks and executors; all in sentences for the person who got it wrong.

A *problem* is one sentence that says what is wrong; None means that all is well.
"""
