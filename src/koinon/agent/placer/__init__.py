"""The placer: a process with the rights of a task's user that writes what is fetched into the sandbox.

    python -I -S …/koinon/agent/placer/__main__.py SOCKET_FD '{"sandbox": …, "uid": …, "gid": …, …}'

It uses the standard library only (and zstd), and is there while the URIs of one container are fetched. The agent
downloads; the placer opens files of this machine, writes, and takes archives apart. So what a user may not read or
write cannot be fetched either, whatever a URI or an archive says, and nothing has to be given away afterwards.

A connected socket pair that keeps messages apart (SOCK_SEQPACKET) carries requests, each a JSON object with at most
one open file attached, answered in order by `{"bytes": …}` or `{"error": sentence}`:

    {"do": "say", "text"}                           a line for the task's stderr
    {"do": "store", "path", "mode", "size"}         write the attached file's, or stream's, bytes until its end
    {"do": "store", …, "source"}                    the same from a file of this machine
    {"do": "extract", "name"}                       the attached archive, which is called so
    {"do": "extract", "name", "path"}               the archive at that path in the sandbox

It ends with its agent, whatever it is doing then: a thread watches the socket.
"""
