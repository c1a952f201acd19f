"""`koinon job …`: what Chronos runs at its times, over its public API.

client     HTTP to Chronos                  command   look, change
documents  files with definitions           history   what has been: runs and what they wrote
graph      who runs after whom, drawn
"""
