"""Deliberately broken lines of the core, each of which the C tests must catch.

Each entry: the file, what stands there once, what is put in its place, and what that breaks.
"""

MUTANTS = [
    # message.c
    ("message.c", "length > batch->size - batch->used", "0", "encoders check the room"),
    ("message.c", "c == '/' || ", "", "a name has no slash"),
    ("message.c", "c == ':' || ", "", "a name has no colon"),
    ("message.c", "c == 0xa0 && ", "0 && ", "the kernel's no-break space"),
    ("message.c", 'strcmp(name, ".") == 0 ||', "", 'a name is not "."'),
    ("message.c", "header.nlmsg_len < MESSAGE_HEADER || ", "", "a message holds its header"),
    ("message.c", " || header.nlmsg_len > left", "", "a message ends within its datagram"),
    ("message.c", "head.rta_len < ATTRIBUTE_HEADER || ", "", "an attribute holds its header"),
    ("message.c", " || head.rta_len > left", "", "an attribute ends within its message"),
    ("message.c", "step < left ? step : left; /*", "step; /*", "the last message may lack padding"),
    ("message.c", "(uint16_t)ATTR_ALT_IFNAME : ", "(uint16_t)IFLA_IFNAME : ", "alternative names"),
    ("message.c", "value > 0 || ", "", "a verdict is no positive number"),
    ("message.c", "message->flags & FLAG_CAPPED", "0", "acks with a capped echo"),
    ("message.c", "attribute->length < sizeof field", "0", "the counters are all there"),
    (
        "message.c",
        "counters->tx_bytes = field[3]",
        "counters->tx_bytes = field[2]",
        "fields in order",
    ),
    ("message.c", "info.ifi_index <= 0", "0", "an index is positive"),
    ("message.c", " && info.ifi_family == AF_UNSPEC", "", "a port that leaves a bridge"),
    ("message.c", "length == attribute.length || ", "", "a name ends with a NUL"),
    # socket.c
    ("socket.c", " | SOCK_CLOEXEC", "", "descriptors are close-on-exec"),
    ("socket.c", " &&\n            sender.nl_pid == 0", "", "the kernel is the sender"),
    ("socket.c", "message->sequence - exchange->first < exchange->batch->count", "1", "sequence"),
    ("socket.c", "(sock->port == 0 || message->port == sock->port)", "1", "port of a reply"),
    ("socket.c", "results[item] != NETSTRAT_PENDING", "0", "an ack counts once"),
    ("socket.c", "item < failed ? error : NULL", "error", "the first failure is reported"),
    ("socket.c", "message.flags & FLAG_DUMP_INTR", "0", "inconsistent dumps"),
    (
        "socket.c",
        "(code != -ENOBUFS && code != -EBUSY) || drained < 0",
        "1",
        "lost replies of a dump",
    ),
    (
        "socket.c",
        "        if (code != -ENOBUFS)\n            break;",
        "        break;",
        "lost replies",
    ),
    ("socket.c", "code = -EMSGSIZE;", "length = (ssize_t)sock->buffer_size;", "cut datagrams"),
    ("socket.c", "sock->interrupted && sock->interrupted(sock->context)", "0", "the signal hook"),
    ("socket.c", "if (code == -ENOBUFS) {", "if (0) {", "room for the ack after a lost one"),
    ("socket.c", "left = HOOK_MS;", ";", "a signal just before the wait"),
    ("socket.c", "deadline->at_ms > now_ms ?", "1 ?", "deadlines"),
    ("socket.c", "(void)close(sock->fd);", "", "the socket is closed"),
    # link.c
    ("link.c", "(link.flags & change) == flags", "1", "EPERM on a link that is down"),
    ("link.c", "code == -EPERM && result", "0 && result", "EPERM on a link that is up"),
    ("link.c", "answered != index", "0", "the counters of the link that was asked for"),
    ("link.c", "sock->by_name_only = 1;", ";", "RTM_GETSTATS is refused once only"),
    ("link.c", "rows->count < rows->room", "1", "rows beyond the caller's room"),
    # netns.c
    (
        "netns.c",
        "pthread_sigmask(SIG_SETMASK, &all, &before)",
        "pthread_sigmask(SIG_SETMASK, NULL, &before)",
        "signals and the helper thread",
    ),
    (
        "netns.c",
        "    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);\n",
        "",
        "the caller's signal mask",
    ),
    ("netns.c", "setns(visit->netns, CLONE_NEWNET) < 0", "0", "the namespace is entered"),
    ("netns.c", "    (void)close(fd);\n", "", "the namespace's descriptor is closed"),
    # sysfs.c
    ("sysfs.c", "text[i] < '0' || text[i] > '9'", "text[i] > '9'", "signs and other characters"),
    ("sysfs.c", "    if (errno == ERANGE)\n        return -ERANGE;", "", "20 digits above 64 bits"),
    ("sysfs.c", "netstrat_check_name(name) != 0", "netstrat_check_name(name) < 0", "long names"),
    ("sysfs.c", "strchr(file, '/') || ", "", "a counter's name has no slash"),
    (
        "sysfs.c",
        "code = errno == EINVAL ? -ENODEV : -errno;",
        "code = -errno;",
        "a device that is gone",
    ),
    (
        "sysfs.c",
        "    (void)close(fd);\n    return code;",
        "    return code;",
        "counter files are closed",
    ),
    ("sysfs.c", "count == 0 || length", "length", "a file without a newline"),
]
