"""The agent: runs the work of one machine.

- `core`: what to run, what to report, what to keep; pure
- `server`: the role, put together · `runtime`: the loop around the core · `checkpoint`: durable before visible
- `channel`: to the master · `executors`, `operator_api`: HTTP · `views`, `metrics`: what is shown
- `containers`, `sandbox`, `containerizer`: what is run · `launcher`: the process that runs it, `launching`: its client
- `flags`, `detection`: how it is configured, what the machine has
"""
