"""What the master shows: bytes made from the core's records, which these functions only read.

Large answers are made in *slices*, so that the event loop does other things in between. A generator first
takes references to all records it will show, so that each is shown once however long the reader takes.
"""
