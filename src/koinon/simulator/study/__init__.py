"""Studies: what would happen to this work on that cluster?"""
