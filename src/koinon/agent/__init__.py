"""The agent: runs the tasks of one machine in containers and tells the master how they fare."""
