"""The launcher: a small process of its own that runs the containers of one agent and outlives it.

    python -I -S …/koinon/agent/launcher/__main__.py DIRECTORY

It uses the standard library only, so that its heap stays small: it forks. It serves the Unix socket
DIRECTORY/socket, goes into the background once it listens, writes trouble into DIRECTORY/log and remembers
in DIRECTORY/journal. DIRECTORY/lock allows one launcher per directory.

A **container** is a tree of processes. Its **main** process leads a session and process group of its own and
is a *child subreaper*: what is orphaned below it becomes its child and cannot leave the tree. The launcher is
one too: when a main process has ended, the rest of its tree, the **strays**, come up to be the launcher's
children, and each is killed as it appears, with its process group. A container has ended when its main
process has and no stray is left.

**Destroying** goes from the outside in. The main process and its group are stopped, so that they cannot fork.
**Sweeps** kill what lies below them outside that group (the children of what is killed come up and are met
by the next sweep). Then the group is killed; the kernel lets no fork escape the killing of a group.

The **journal** has a JSON object per record. The main process itself writes `launched` (pid and start time)
before it becomes the program: nothing ever runs unrecorded. The launcher writes `exited`, and brings it to the
disk before it tells, and `forgotten`. A launcher that starts finds there the exits that nobody has stored yet
and the **orphans** of one that died, which it destroys. Strays that have left for init meanwhile are known by
their session or by the container's id in their environment.

The **protocol** has a JSON object per line. First come `{"protocol", "pid"}` and the exits not yet forgotten.
Requests are `{"id", "do": "launch" | "signal" | "destroy" | "forget" | "list" | "stop", …}`; each is answered
with its id and means no more when said twice. `{"exit": …}` may come at any time. There is one client: a new one
takes the place of the one before. A container launched as `tied` is destroyed when its client is gone, one with
`patience_s` when there has been none for so long.

**Streams** other than files are pipes or a terminal, named by path, that the agent made. Or they are a terminal that the
launcher makes (`window`): it keeps the other end and hands copies to whoever names the container on the socket
DIRECTORY/terminals. While there is no client it copies what the terminal shows into the container's stdout.

The launcher ends when told to `stop` or by SIGTERM (both destroy the containers first), and after a minute with
neither client nor containers. Exits not yet forgotten stay in the journal.
"""
