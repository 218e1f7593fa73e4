/* SPDX-License-Identifier: MIT */
/*
 * The table of failures: from operation and errno to a kind and a hint, for C and Python.
 * docs/errors.md is printed from it.
 */
#include "internal.h"

#include <errno.h>

#include <linux/rtnetlink.h>

/* ---- the table ---- */

/* The numbers of the hints. Their texts follow in the same order. */
enum error_hint {
    HINT_NONE,
    HINT_ANY_NAME_RULE,
    HINT_LINK_NAME_RULE,
    HINT_COUNTER_NAME_RULE,
    HINT_NOT_A_NUMBER,
    HINT_TOO_LARGE,
    HINT_AF_NETLINK_REFUSED,
    HINT_DESCRIPTORS_SHORT,
    HINT_FILES_SHORT,
    HINT_NET_ADMIN,
    HINT_LINK_MISSING,
    HINT_TIMED_OUT,
    HINT_LINKS_UNSETTLED,
    HINT_REPLIES_LOST,
    HINT_BUFFER_SHORT,
    HINT_REQUEST_FORBIDDEN,
    HINT_BATCH_MALFORMED,
    HINT_QUEUE_SHORT,
    HINT_CALLED_BACK,
    HINT_SETNS_ADMIN,
    HINT_NOT_A_NETNS,
    HINT_PROCESS_ENDED,
    HINT_NO_NETNS,
    HINT_NETNS_FORBIDDEN,
    HINT_FILE_FORBIDDEN,
    HINT_NO_SYSFS,
    HINT_NOT_A_FILE,
    HINT_SYMBOLIC_LINK,
    HINT_MOUNT_ADMIN,
    HINT_NO_PROC,
    HINT_OTHER_PLACE,
    HINT_NEW_NETNS_ADMIN,
    HINT_NAME_MOUNT_ADMIN,
    HINT_GATEWAY_UNREACHABLE,
    HINT_LINK_DOWN,
    HINT_ADDRESS_THERE,
    HINT_ROUTE_THERE,
    HINT_NAME_TAKEN,
    HINT_NO_THREAD,
    HINT_IPV6_DISABLED,
    HINT_BRIDGE_FULL,
    HINT_NO_SUCH_KIND,
    HINT_NO_GETSTATS,
    HINT_MESSAGE_UNSUPPORTED,
    HINT_THREADS_SHORT,
    HINT_NAMESPACES_SHORT,
    HINT_NO_DETACHED_MOUNTS,
    HINT_NO_PARENT_DIRECTORY,
    HINT_NO_SUCH_QDISC,
    HINT_QDISC_THERE,
    HINT_QDISC_MISSING,
    HINT_NO_SUCH_FILTER,
    HINT_NO_NFNETLINK,
    HINT_NO_NF_TABLES,
    HINT_NO_NAT,
    HINT_NO_EXPRESSION,
    HINT_NO_SET_TYPE,
    HINT_RULES_CHANGED,
    HINT_ELEMENT_THERE,
    HINT_SYSCTL_PATH,
    HINT_NO_SYSCTL,
    HINT_SYSCTL_READ_ONLY,
    HINT_SYSCTL_FORBIDDEN,
    HINT_SYSCTL_VALUE,
    HINT_MAC_TAKEN
};

/* The texts, one after the other, each with a NUL. An array of pointers would have to be relocated,
 * which makes it writable data. */
static const char error_hints[] =
    /* NO_HINT */
    "\0"
    /* ANY_NAME_RULE */
    "must be 1 to 127 bytes without NUL\0"
    /* LINK_NAME_RULE */
    "must be 1 to 15 bytes, not \".\" or \"..\", without \"/\", \":\", NUL, white space or the "
    "byte 0xa0 (sysfs and new links take no alternative names)\0"
    /* COUNTER_NAME_RULE */
    "must be one file name, such as rx_bytes\0"
    /* NOT_A_NUMBER */
    "is not an unsigned decimal number\0"
    /* TOO_LARGE */
    "does not fit in 64 bits\0"
    /* AF_NETLINK_REFUSED */
    "AF_NETLINK sockets are refused; check for a seccomp filter, an SELinux or AppArmor "
    "policy, or a kernel without them\0"
    /* DESCRIPTORS_SHORT */
    "the process has reached its limit of open descriptors (RLIMIT_NOFILE, ulimit -n)\0"
    /* FILES_SHORT */
    "the system has reached its limit of open files (sysctl fs.file-max)\0"
    /* NET_ADMIN */
    "needs CAP_NET_ADMIN in the user namespace that owns the network namespace; run as root, in "
    "a new user namespace (unshare -Urn; on Ubuntu this needs sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0), or in a container with --cap-add=NET_ADMIN\0"
    /* LINK_MISSING */
    "no such interface in this namespace\0"
    /* TIMED_OUT */
    "the kernel did not answer in time\0"
    /* LINKS_UNSETTLED */
    "the interface list changed during 16 consecutive dumps\0"
    /* REPLIES_LOST */
    "replies were lost because the socket's receive queue was full\0"
    /* BUFFER_SHORT */
    "the reply does not fit the buffer\0"
    /* REQUEST_FORBIDDEN */
    "a seccomp filter or a security module forbids it\0"
    /* BATCH_MALFORMED */
    "must be what the call sends: one query, one dump request, or changes that ask for an ack; "
    "nothing was sent\0"
    /* QUEUE_SHORT */
    "the socket's receive queue is too small for the reply; set a larger SO_RCVBUF\0"
    /* CALLED_BACK */
    "a callback must not use the socket that called it; use another socket\0"
    /* SETNS_ADMIN */
    "entering a network namespace needs CAP_SYS_ADMIN in the user namespace that owns it and "
    "in the caller's user namespace\0"
    /* NOT_A_NETNS */
    "must be a network namespace or a pidfd\0"
    /* PROCESS_ENDED */
    "the process has ended\0"
    /* NO_NETNS */
    "must be the name of a namespace in /run/netns, or a path with a slash\0"
    /* NETNS_FORBIDDEN */
    "the namespaces of another user's process need CAP_SYS_PTRACE over the process\0"
    /* FILE_FORBIDDEN */
    "the file's mode or a security module forbids it\0"
    /* NO_SYSFS */
    "check that sysfs is mounted there\0"
    /* NOT_A_FILE */
    "must be a regular file\0"
    /* SYMBOLIC_LINK */
    "must not be a symbolic link\0"
    /* MOUNT_ADMIN */
    "mounting sysfs needs CAP_SYS_ADMIN in the user namespaces that own the mount namespace "
    "and the network namespace\0"
    /* NO_PROC */
    "check that /proc is mounted\0"
    /* OTHER_PLACE */
    "the thread has moved to another network namespace, or another sysfs is mounted there\0"
    /* NEW_NETNS_ADMIN */
    "making a network namespace needs CAP_SYS_ADMIN; run as root, or in a new user namespace "
    "(unshare -Ur; on Ubuntu this needs sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0)\0"
    /* NAME_MOUNT_ADMIN */
    "naming a network namespace needs CAP_SYS_ADMIN over the mount namespace, and write "
    "access to /run/netns\0"
    /* GATEWAY_UNREACHABLE */
    "the gateway is not in any subnet of the interface; choose another, or a route with onlink\0"
    /* LINK_DOWN */
    "the interface must be up before routes can use it\0"
    /* ADDRESS_THERE */
    "the interface already has this address\0"
    /* ROUTE_THERE */
    "a route to that destination with that metric already exists\0"
    /* NAME_TAKEN */
    "the name or the index is already in use\0"
    /* NO_THREAD */
    "the kernel creates no thread after unshare(CLONE_NEWPID) or setns() to a pid namespace; call "
    "this before, or in a child after fork()\0"
    /* IPV6_DISABLED */
    "IPv6 is disabled on the interface; enable it with sysctl "
    "net.ipv6.conf.INTERFACE.disable_ipv6=0\0"
    /* BRIDGE_FULL */
    "the bridge has no free port (the maximum is 1,023)\0"
    /* NO_SUCH_KIND */
    "the kernel does not support this kind of link, or one of its settings; a module may be "
    "missing\0"
    /* NO_GETSTATS */
    "RTM_GETSTATS needs Linux 4.7, and emulators such as qemu-user refuse it; read the counters "
    "by name\0"
    /* MESSAGE_UNSUPPORTED */
    "an emulator such as qemu-user does not support this message\0"
    /* THREADS_SHORT */
    "no thread could be created; check RLIMIT_NPROC (ulimit -u), the cgroup's pids.max, sysctl "
    "kernel.threads-max and the memory limits\0"
    /* NAMESPACES_SHORT */
    "the limit on namespaces is reached; see sysctl user.max_net_namespaces and "
    "user.max_mnt_namespaces\0"
    /* NO_DETACHED_MOUNTS */
    "a detached mount of sysfs needs Linux 5.2, and a seccomp filter may refuse it\0"
    /* NO_PARENT_DIRECTORY */
    "its parent directory does not exist\0"
    /* NO_SUCH_QDISC */
    "the kernel does not support this queueing discipline (a module such as sch_tbf may be "
    "missing), or the parent does not exist\0"
    /* QDISC_THERE */
    "the link already has a queueing discipline there; replace it\0"
    /* QDISC_MISSING */
    "the link has no queueing discipline there that can be deleted\0"
    /* NO_SUCH_FILTER */
    "the kernel does not support this filter or its action; a module such as cls_u32 or act_mirred "
    "may be missing";

/* The other texts: a compiler need not accept a longer string. */
static const char error_more_hints[] =
    /* NO_NFNETLINK */
    "the kernel has no NETLINK_NETFILTER; run modprobe nfnetlink, or use a kernel built with it\0"
    /* NO_NF_TABLES */
    "the kernel has no nf_tables, or none for the family inet; run modprobe nf_tables, or use a "
    "kernel built with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET\0"
    /* NO_NAT */
    "the kernel has no nat chains of the family inet (Linux 5.2); run modprobe nft_chain_nat, or "
    "use a kernel built with CONFIG_NFT_NAT\0"
    /* NO_EXPRESSION */
    "the kernel lacks an expression of nf_tables; run modprobe for nft_fib_inet, nft_ct, nft_nat "
    "and nft_masq, or use a kernel built with them\0"
    /* NO_SET_TYPE */
    "the kernel does not support concatenations of intervals (Linux 5.6)\0"
    /* RULES_CHANGED */
    "other programs changed nf_tables during every try\0"
    /* ELEMENT_THERE */
    "it is already there, or overlaps what is there\0"
    /* SYSCTL_PATH */
    "must be a path beneath /proc/sys without empty components, \".\" and \"..\"\0"
    /* NO_SYSCTL */
    "the setting does not exist; check its name, that the kernel has its protocol, and that /proc "
    "is mounted\0"
    /* SYSCTL_READ_ONLY */
    "/proc/sys is mounted read-only, as in most containers; mount a writable one\0"
    /* SYSCTL_FORBIDDEN */
    "needs CAP_NET_ADMIN in the user namespace that owns the network namespace\0"
    /* SYSCTL_VALUE */
    "the kernel does not accept this value\0"
    /* MAC_TAKEN */
    "the parent or another link on it has this MAC address; request another";

static const char *error_hint_text(uint8_t hint)
{
    const char *text = hint < HINT_NO_NFNETLINK ? error_hints : error_more_hints;

    if (hint >= HINT_NO_NFNETLINK)
        hint = (uint8_t)(hint - HINT_NO_NFNETLINK);
    for (; hint > 0; hint--)
        text += strlen(text) + 1;
    return text;
}

struct error_row {
    uint16_t operation; /* enum netstrat_operation; 8 bits would leave padding before `request` */
    uint16_t request;   /* 0 for any */
    uint8_t code;       /* 0 for any */
    uint8_t kind;
    uint8_t hint;
};

/* The first row that matches is used. */
static const struct error_row error_table[] = {
    {NETSTRAT_OP_NAME, 0, EINVAL, NETSTRAT_KIND_INVALID_NAME, HINT_ANY_NAME_RULE},
    {NETSTRAT_OP_LINK_NAME, 0, EINVAL, NETSTRAT_KIND_INVALID_NAME, HINT_LINK_NAME_RULE},
    {NETSTRAT_OP_FILE, 0, EINVAL, NETSTRAT_KIND_INVALID_COUNTER, HINT_COUNTER_NAME_RULE},
    {NETSTRAT_OP_PARSE, 0, EBADMSG, NETSTRAT_KIND_PARSE, HINT_NOT_A_NUMBER},
    {NETSTRAT_OP_PARSE, 0, ERANGE, NETSTRAT_KIND_PARSE, HINT_TOO_LARGE},

    /* A lack of memory or descriptors does not mean that AF_NETLINK is refused. */
    {NETSTRAT_OP_SOCKET, 0, EMFILE, NETSTRAT_KIND_OTHER, HINT_DESCRIPTORS_SHORT},
    {NETSTRAT_OP_SOCKET, 0, ENFILE, NETSTRAT_KIND_OTHER, HINT_FILES_SHORT},
    {NETSTRAT_OP_SOCKET, 0, ENOMEM, NETSTRAT_KIND_OTHER, HINT_NONE},
    {NETSTRAT_OP_SOCKET, 0, ENOBUFS, NETSTRAT_KIND_OTHER, HINT_NONE},
    {NETSTRAT_OP_SOCKET, 0, EPROTONOSUPPORT, NETSTRAT_KIND_UNAVAILABLE, HINT_NO_NFNETLINK},
    {NETSTRAT_OP_SOCKET, 0, 0, NETSTRAT_KIND_UNAVAILABLE, HINT_AF_NETLINK_REFUSED},

    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWTABLE, EOPNOTSUPP, NETSTRAT_KIND_OTHER,
     HINT_NO_NF_TABLES},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWTABLE, EAFNOSUPPORT, NETSTRAT_KIND_OTHER,
     HINT_NO_NF_TABLES},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWSETELEM, EOPNOTSUPP, NETSTRAT_KIND_OTHER,
     HINT_NO_NF_TABLES},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_GETSETELEM, EINVAL, NETSTRAT_KIND_OTHER, HINT_NO_NF_TABLES},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_GETGEN, EINVAL, NETSTRAT_KIND_OTHER, HINT_NO_NF_TABLES},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_GETCHAIN, EINVAL, NETSTRAT_KIND_OTHER, HINT_NO_NF_TABLES},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWCHAIN, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_NAT},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWCHAIN, EOPNOTSUPP, NETSTRAT_KIND_OTHER, HINT_NO_NAT},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWRULE, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_EXPRESSION},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWRULE, EOPNOTSUPP, NETSTRAT_KIND_OTHER,
     HINT_NO_EXPRESSION},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWSET, EINVAL, NETSTRAT_KIND_OTHER, HINT_NO_SET_TYPE},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWSET, EOPNOTSUPP, NETSTRAT_KIND_OTHER, HINT_NO_SET_TYPE},
    {NETSTRAT_OP_REQUEST, NETSTRAT_NFT_NEWSETELEM, EEXIST, NETSTRAT_KIND_OTHER, HINT_ELEMENT_THERE},
    {NETSTRAT_OP_REQUEST, 0, ERESTART, NETSTRAT_KIND_OTHER, HINT_RULES_CHANGED},

    {NETSTRAT_OP_REQUEST, RTM_GETLINK, EACCES, NETSTRAT_KIND_PERMISSION, HINT_NET_ADMIN},
    {NETSTRAT_OP_REQUEST, RTM_GETLINK, EPERM, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_REQUEST, NETSTRAT_RTM_GETSTATS, EPERM, NETSTRAT_KIND_PERMISSION,
     HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_REQUEST, RTM_GETADDR, EPERM, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_REQUEST, RTM_GETROUTE, EPERM, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_REQUEST, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_NET_ADMIN},
    {NETSTRAT_OP_REQUEST, RTM_NEWLINK, EEXIST, NETSTRAT_KIND_OTHER, HINT_NAME_TAKEN},
    {NETSTRAT_OP_REQUEST, NETSTRAT_RTM_NEWLINKPROP, EEXIST, NETSTRAT_KIND_OTHER, HINT_NAME_TAKEN},
    {NETSTRAT_OP_REQUEST, RTM_NEWADDR, EEXIST, NETSTRAT_KIND_OTHER, HINT_ADDRESS_THERE},
    {NETSTRAT_OP_REQUEST, RTM_NEWROUTE, EEXIST, NETSTRAT_KIND_OTHER, HINT_ROUTE_THERE},
    {NETSTRAT_OP_REQUEST, RTM_NEWROUTE, ENETUNREACH, NETSTRAT_KIND_OTHER, HINT_GATEWAY_UNREACHABLE},
    {NETSTRAT_OP_REQUEST, RTM_NEWROUTE, EHOSTUNREACH, NETSTRAT_KIND_OTHER,
     HINT_GATEWAY_UNREACHABLE},
    {NETSTRAT_OP_REQUEST, RTM_NEWROUTE, ENETDOWN, NETSTRAT_KIND_OTHER, HINT_LINK_DOWN},
    {NETSTRAT_OP_REQUEST, RTM_NEWADDR, EACCES, NETSTRAT_KIND_OTHER, HINT_IPV6_DISABLED},
    {NETSTRAT_OP_REQUEST, RTM_NEWROUTE, EACCES, NETSTRAT_KIND_OTHER, HINT_IPV6_DISABLED},
    {NETSTRAT_OP_REQUEST, RTM_NEWLINK, EADDRINUSE, NETSTRAT_KIND_OTHER, HINT_MAC_TAKEN},
    {NETSTRAT_OP_REQUEST, RTM_NEWLINK, EXFULL, NETSTRAT_KIND_OTHER, HINT_BRIDGE_FULL},
    {NETSTRAT_OP_REQUEST, RTM_NEWLINK, EOPNOTSUPP, NETSTRAT_KIND_OTHER, HINT_NO_SUCH_KIND},
    {NETSTRAT_OP_REQUEST, NETSTRAT_RTM_GETSTATS, EOPNOTSUPP, NETSTRAT_KIND_OTHER, HINT_NO_GETSTATS},
    {NETSTRAT_OP_REQUEST, RTM_NEWQDISC, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_SUCH_QDISC},
    {NETSTRAT_OP_REQUEST, RTM_NEWQDISC, EEXIST, NETSTRAT_KIND_OTHER, HINT_QDISC_THERE},
    {NETSTRAT_OP_REQUEST, RTM_DELQDISC, ENOENT, NETSTRAT_KIND_OTHER, HINT_QDISC_MISSING},
    {NETSTRAT_OP_REQUEST, RTM_NEWTFILTER, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_SUCH_FILTER},
    {NETSTRAT_OP_REQUEST, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_REQUEST, 0, ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND, HINT_LINK_MISSING},
    {NETSTRAT_OP_REQUEST, 0, EAGAIN, NETSTRAT_KIND_OTHER, HINT_LINKS_UNSETTLED},
    {NETSTRAT_OP_BATCH, 0, EINVAL, NETSTRAT_KIND_OTHER, HINT_BATCH_MALFORMED},
    {NETSTRAT_OP_BATCH, 0, ENOBUFS, NETSTRAT_KIND_OTHER, HINT_QUEUE_SHORT},
    {NETSTRAT_OP_BATCH, 0, EMSGSIZE, NETSTRAT_KIND_OTHER, HINT_BUFFER_SHORT},
    {NETSTRAT_OP_BATCH, 0, EBUSY, NETSTRAT_KIND_OTHER, HINT_CALLED_BACK},
    {NETSTRAT_OP_SEND, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_SEND, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_SEND, 0, EOPNOTSUPP, NETSTRAT_KIND_OTHER, HINT_MESSAGE_UNSUPPORTED},
    {NETSTRAT_OP_RECVFROM, 0, ETIMEDOUT, NETSTRAT_KIND_OTHER, HINT_TIMED_OUT},
    {NETSTRAT_OP_POLL, 0, ETIMEDOUT, NETSTRAT_KIND_OTHER, HINT_TIMED_OUT},
    {NETSTRAT_OP_SEND, 0, ETIMEDOUT, NETSTRAT_KIND_OTHER, HINT_TIMED_OUT},
    {NETSTRAT_OP_RECVFROM, 0, ENOBUFS, NETSTRAT_KIND_OTHER, HINT_REPLIES_LOST},
    {NETSTRAT_OP_RECVFROM, 0, EMSGSIZE, NETSTRAT_KIND_OTHER, HINT_BUFFER_SHORT},
    {NETSTRAT_OP_RECVFROM, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_RECVFROM, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},

    {NETSTRAT_OP_SETNS, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_SETNS_ADMIN},
    {NETSTRAT_OP_SETNS, 0, EINVAL, NETSTRAT_KIND_OTHER, HINT_NOT_A_NETNS},
    {NETSTRAT_OP_SETNS, 0, ESRCH, NETSTRAT_KIND_OTHER, HINT_PROCESS_ENDED},
    {NETSTRAT_OP_OPEN_NETNS, 0, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_NETNS},
    {NETSTRAT_OP_OPEN_NETNS, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_NETNS_FORBIDDEN},
    {NETSTRAT_OP_OPEN_NETNS, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_NETNS_FORBIDDEN},
    {NETSTRAT_OP_OPEN_NETNS, 0, EMFILE, NETSTRAT_KIND_OTHER, HINT_DESCRIPTORS_SHORT},
    {NETSTRAT_OP_OPEN_NETNS, 0, ENFILE, NETSTRAT_KIND_OTHER, HINT_FILES_SHORT},
    {NETSTRAT_OP_PTHREAD_CREATE, 0, EAGAIN, NETSTRAT_KIND_OTHER, HINT_THREADS_SHORT},

    {NETSTRAT_OP_OPEN, 0, ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND, HINT_NONE},
    {NETSTRAT_OP_OPENAT, 0, ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND, HINT_NONE},
    {NETSTRAT_OP_READ, 0, ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND, HINT_NONE},
    {NETSTRAT_OP_PREAD, 0, ENODEV, NETSTRAT_KIND_LINK_NOT_FOUND, HINT_NONE},
    {NETSTRAT_OP_OPENAT, 0, ENOENT, NETSTRAT_KIND_COUNTER_NOT_FOUND, HINT_NONE},
    {NETSTRAT_OP_OPEN, 0, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_SYSFS},
    {NETSTRAT_OP_OPENAT, 0, EINVAL, NETSTRAT_KIND_OTHER, HINT_NOT_A_FILE},
    {NETSTRAT_OP_OPENAT, 0, ELOOP, NETSTRAT_KIND_OTHER, HINT_SYMBOLIC_LINK},
    {NETSTRAT_OP_OPEN, 0, EMFILE, NETSTRAT_KIND_OTHER, HINT_DESCRIPTORS_SHORT},
    {NETSTRAT_OP_OPENAT, 0, EMFILE, NETSTRAT_KIND_OTHER, HINT_DESCRIPTORS_SHORT},
    {NETSTRAT_OP_OPEN, 0, ENFILE, NETSTRAT_KIND_OTHER, HINT_FILES_SHORT},
    {NETSTRAT_OP_OPENAT, 0, ENFILE, NETSTRAT_KIND_OTHER, HINT_FILES_SHORT},
    {NETSTRAT_OP_OPEN, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_FILE_FORBIDDEN},
    {NETSTRAT_OP_OPEN, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_FILE_FORBIDDEN},
    {NETSTRAT_OP_OPENAT, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_FILE_FORBIDDEN},
    {NETSTRAT_OP_OPENAT, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_FILE_FORBIDDEN},
    {NETSTRAT_OP_READ, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_FILE_FORBIDDEN},
    {NETSTRAT_OP_READ, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_FILE_FORBIDDEN},
    {NETSTRAT_OP_PREAD, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_FILE_FORBIDDEN},
    {NETSTRAT_OP_PREAD, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_FILE_FORBIDDEN},
    {NETSTRAT_OP_READLINK, 0, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_PROC},
    {NETSTRAT_OP_READLINK, 0, ESTALE, NETSTRAT_KIND_OTHER, HINT_OTHER_PLACE},
    {NETSTRAT_OP_FSOPEN, 0, EMFILE, NETSTRAT_KIND_OTHER, HINT_DESCRIPTORS_SHORT},
    {NETSTRAT_OP_FSOPEN, 0, ENFILE, NETSTRAT_KIND_OTHER, HINT_FILES_SHORT},
    {NETSTRAT_OP_FSOPEN, 0, ENOSYS, NETSTRAT_KIND_OTHER, HINT_NO_DETACHED_MOUNTS},
    {NETSTRAT_OP_FSOPEN, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_MOUNT_ADMIN},
    {NETSTRAT_OP_FSCONFIG, 0, ENOSYS, NETSTRAT_KIND_OTHER, HINT_NO_DETACHED_MOUNTS},
    {NETSTRAT_OP_FSCONFIG, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_MOUNT_ADMIN},
    {NETSTRAT_OP_FSMOUNT, 0, EMFILE, NETSTRAT_KIND_OTHER, HINT_DESCRIPTORS_SHORT},
    {NETSTRAT_OP_FSMOUNT, 0, ENFILE, NETSTRAT_KIND_OTHER, HINT_FILES_SHORT},
    {NETSTRAT_OP_FSMOUNT, 0, ENOSYS, NETSTRAT_KIND_OTHER, HINT_NO_DETACHED_MOUNTS},
    {NETSTRAT_OP_FSMOUNT, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_MOUNT_ADMIN},

    {NETSTRAT_OP_PTHREAD_CREATE, 0, EINVAL, NETSTRAT_KIND_OTHER, HINT_NO_THREAD},
    {NETSTRAT_OP_UNSHARE, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_NEW_NETNS_ADMIN},
    {NETSTRAT_OP_UNSHARE, 0, ENOSPC, NETSTRAT_KIND_OTHER, HINT_NAMESPACES_SHORT},
    {NETSTRAT_OP_MKDIR, 0, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_PARENT_DIRECTORY},
    {NETSTRAT_OP_MOUNT, 0, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_PROC},
    {NETSTRAT_OP_MKDIR, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_NAME_MOUNT_ADMIN},
    {NETSTRAT_OP_MKDIR, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_NAME_MOUNT_ADMIN},
    {NETSTRAT_OP_MOUNT, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_NAME_MOUNT_ADMIN},
    {NETSTRAT_OP_UMOUNT, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_NAME_MOUNT_ADMIN},
    {NETSTRAT_OP_UNLINK, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_NAME_MOUNT_ADMIN},
    {NETSTRAT_OP_UNLINK, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_NAME_MOUNT_ADMIN},
    {NETSTRAT_OP_OPEN_NETNS, 0, EEXIST, NETSTRAT_KIND_OTHER, HINT_NAME_TAKEN},

    {NETSTRAT_OP_OPEN_SYSCTL, 0, EINVAL, NETSTRAT_KIND_OTHER, HINT_SYSCTL_PATH},
    {NETSTRAT_OP_OPEN_SYSCTL, 0, ENOENT, NETSTRAT_KIND_OTHER, HINT_NO_SYSCTL},
    {NETSTRAT_OP_OPEN_SYSCTL, 0, EROFS, NETSTRAT_KIND_OTHER, HINT_SYSCTL_READ_ONLY},
    {NETSTRAT_OP_OPEN_SYSCTL, 0, EMFILE, NETSTRAT_KIND_OTHER, HINT_DESCRIPTORS_SHORT},
    {NETSTRAT_OP_OPEN_SYSCTL, 0, ENFILE, NETSTRAT_KIND_OTHER, HINT_FILES_SHORT},
    {NETSTRAT_OP_OPEN_SYSCTL, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_SYSCTL_FORBIDDEN},
    {NETSTRAT_OP_OPEN_SYSCTL, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_SYSCTL_FORBIDDEN},
    {NETSTRAT_OP_WRITE_SYSCTL, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_SYSCTL_FORBIDDEN},
    {NETSTRAT_OP_WRITE_SYSCTL, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_SYSCTL_FORBIDDEN},
    {NETSTRAT_OP_WRITE_SYSCTL, 0, EINVAL, NETSTRAT_KIND_OTHER, HINT_SYSCTL_VALUE},

    {NETSTRAT_OP_SETSOCKOPT, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_BIND, 0, EPERM, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_SETSOCKOPT, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
    {NETSTRAT_OP_BIND, 0, EACCES, NETSTRAT_KIND_PERMISSION, HINT_REQUEST_FORBIDDEN},
};

enum { ERROR_ROWS = sizeof error_table / sizeof *error_table };

int netstrat_failure_get(uint32_t number, struct netstrat_failure *failure)
{
    if (number >= ERROR_ROWS)
        return 0;
    failure->operation = (uint8_t)error_table[number].operation;
    failure->request = error_table[number].request;
    failure->code = error_table[number].code;
    failure->kind = error_table[number].kind;
    failure->hint = error_hint_text(error_table[number].hint);
    return 1;
}

int netstrat_failure_find(uint32_t operation, uint32_t request, int code,
                          struct netstrat_failure *failure)
{
    uint32_t number;

    for (number = 0; number < ERROR_ROWS; number++) {
        const struct error_row *row = &error_table[number];

        if (row->operation == operation && (row->request == 0 || row->request == request) &&
            (row->code == 0 || -(int)row->code == code))
            return netstrat_failure_get(number, failure);
    }
    memset(failure, 0, sizeof *failure);
    failure->operation = (uint8_t)operation;
    failure->hint = "";
    return 0;
}

/* ---- names ---- */

/* Arrays of arrays, because pointers would be writable data (as for the hints). */
static const char error_operation_names[NETSTRAT_OPERATIONS][16] = {
    "nothing",
    "name",
    "link name",
    "file",
    "parse",
    "batch",
    "",
    "socket",
    "setsockopt",
    "getsockopt",
    "getsockname",
    "bind",
    "send",
    "recvfrom",
    "poll",
    "open",
    "openat",
    "read",
    "pread",
    "readlink",
    "fstat",
    "fsopen",
    "fsconfig",
    "fsmount",
    "open netns",
    "setns",
    "pthread_sigmask",
    "pthread_create",
    "unshare",
    "mkdir",
    "mount",
    "umount",
    "unlink",
    "open sysctl",
    "read sysctl",
    "write sysctl",
};

const char *netstrat_operation_name(uint32_t operation)
{
    return operation < NETSTRAT_OPERATIONS && error_operation_names[operation][0] != '\0'
               ? error_operation_names[operation]
               : NULL;
}

static const struct {
    uint16_t type;
    char name[20];
} error_request_names[] = {
    {RTM_NEWLINK, "RTM_NEWLINK"},
    {RTM_DELLINK, "RTM_DELLINK"},
    {RTM_GETLINK, "RTM_GETLINK"},
    {RTM_SETLINK, "RTM_SETLINK"},
    {RTM_NEWADDR, "RTM_NEWADDR"},
    {RTM_DELADDR, "RTM_DELADDR"},
    {RTM_GETADDR, "RTM_GETADDR"},
    {RTM_NEWROUTE, "RTM_NEWROUTE"},
    {RTM_DELROUTE, "RTM_DELROUTE"},
    {RTM_GETROUTE, "RTM_GETROUTE"},
    {RTM_NEWNEIGH, "RTM_NEWNEIGH"},
    {RTM_DELNEIGH, "RTM_DELNEIGH"},
    {RTM_GETNEIGH, "RTM_GETNEIGH"},
    {RTM_NEWRULE, "RTM_NEWRULE"},
    {RTM_DELRULE, "RTM_DELRULE"},
    {RTM_GETRULE, "RTM_GETRULE"},
    {RTM_NEWQDISC, "RTM_NEWQDISC"},
    {RTM_DELQDISC, "RTM_DELQDISC"},
    {RTM_GETQDISC, "RTM_GETQDISC"},
    {RTM_NEWTFILTER, "RTM_NEWTFILTER"},
    {RTM_DELTFILTER, "RTM_DELTFILTER"},
    {RTM_GETTFILTER, "RTM_GETTFILTER"},
    {NETSTRAT_RTM_NEWNSID, "RTM_NEWNSID"},
    {NETSTRAT_RTM_DELNSID, "RTM_DELNSID"},
    {NETSTRAT_RTM_GETNSID, "RTM_GETNSID"},
    {NETSTRAT_RTM_GETSTATS, "RTM_GETSTATS"},
    {NETSTRAT_RTM_NEWNEXTHOP, "RTM_NEWNEXTHOP"},
    {NETSTRAT_RTM_DELNEXTHOP, "RTM_DELNEXTHOP"},
    {NETSTRAT_RTM_GETNEXTHOP, "RTM_GETNEXTHOP"},
    {NETSTRAT_RTM_NEWLINKPROP, "RTM_NEWLINKPROP"},
    {NETSTRAT_RTM_DELLINKPROP, "RTM_DELLINKPROP"},
    {NETSTRAT_NFT_NEWTABLE, "NFT_MSG_NEWTABLE"},
    {NETSTRAT_NFT_GETTABLE, "NFT_MSG_GETTABLE"},
    {NETSTRAT_NFT_DELTABLE, "NFT_MSG_DELTABLE"},
    {NETSTRAT_NFT_NEWCHAIN, "NFT_MSG_NEWCHAIN"},
    {NETSTRAT_NFT_GETCHAIN, "NFT_MSG_GETCHAIN"},
    {NETSTRAT_NFT_NEWRULE, "NFT_MSG_NEWRULE"},
    {NETSTRAT_NFT_GETRULE, "NFT_MSG_GETRULE"},
    {NETSTRAT_NFT_NEWSET, "NFT_MSG_NEWSET"},
    {NETSTRAT_NFT_NEWSETELEM, "NFT_MSG_NEWSETELEM"},
    {NETSTRAT_NFT_GETSETELEM, "NFT_MSG_GETSETELEM"},
    {NETSTRAT_NFT_DELSETELEM, "NFT_MSG_DELSETELEM"},
    {NETSTRAT_NFT_GETGEN, "NFT_MSG_GETGEN"},
};

const char *netstrat_request_name(uint32_t request)
{
    size_t i;

    for (i = 0; i < sizeof error_request_names / sizeof *error_request_names; i++)
        if (error_request_names[i].type == request)
            return error_request_names[i].name;
    return NULL;
}

/* ---- the sentence ---- */

/* A text under construction: `length` counts the bytes that do not fit too. */
struct error_sentence {
    char *text;
    size_t room; /* without the NUL */
    size_t length;
};

static void error_add_bytes(struct error_sentence *to, const char *bytes, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++, to->length++)
        if (to->length < to->room)
            to->text[to->length] = bytes[i];
}

static void error_add(struct error_sentence *to, const char *text)
{
    error_add_bytes(to, text, strlen(text));
}

static void error_add_number(struct error_sentence *to, uint32_t number)
{
    char digits[10];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    error_add_bytes(to, digits + at, sizeof digits - at);
}

/* Adds bytes of unknown origin. Any byte except printable ASCII becomes a question mark, since the
 * sentence may go to a terminal. */
static void error_add_untrusted(struct error_sentence *to, const char *bytes, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++)
        error_add_bytes(to, bytes[i] >= ' ' && bytes[i] <= '~' ? &bytes[i] : "?", 1);
}

/* Adds `interface "NAME": `, if there is a name. */
static void error_add_interface(struct error_sentence *to, const char *name)
{
    if (name && *name) {
        error_add(to, "interface \"");
        error_add_untrusted(to, name, strlen(name));
        error_add(to, "\": ");
    }
}

/* Describes an invalid interface name. */
static void error_describe_name(struct error_sentence *to, const char *name, const char *hint)
{
    error_add(to, "invalid interface name \"");
    error_add_untrusted(to, name, name ? strlen(name) : 0);
    error_add(to, "\": ");
    error_add(to, hint);
}

/* Describes an invalid counter name, or a text that is not a counter. */
static void error_describe_counter(struct error_sentence *to, const char *name,
                                   const struct netstrat_error *error, const char *hint)
{
    const int is_name = error->operation == NETSTRAT_OP_FILE;

    error_add_interface(to, name);
    error_add(to, is_name ? "invalid counter name \"" : "parse: \"");
    error_add_untrusted(to, error->text, error->text_length);
    error_add(to, is_name ? "\": " : "\" ");
    error_add(to, hint);
}

/* Describes a failed system call, message or batch. */
static void error_describe_call(struct error_sentence *to, const char *name,
                                const struct netstrat_error *error, const char *hint)
{
    const char *operation = error->operation == NETSTRAT_OP_REQUEST
                                ? netstrat_request_name(error->request)
                                : netstrat_operation_name(error->operation);

    error_add_interface(to, name);
    if (operation) {
        error_add(to, operation);
    } else {
        error_add(to, "message type ");
        error_add_number(to, error->request);
    }
    error_add(to, ": ");
    error_add(to, strerror(-error->code));
    if (error->text_length > 0) {
        error_add(to, " (the kernel says: ");
        error_add_untrusted(to, error->text, error->text_length);
        error_add(to, ")");
    }
    if (*hint) {
        error_add(to, "; ");
        error_add(to, hint);
    }
}

size_t netstrat_error_describe(const struct netstrat_error *error, const char *name, char *text,
                               size_t size)
{
    struct error_sentence to = {text, size > 0 ? size - 1 : 0, 0};
    struct netstrat_failure failure;

    (void)netstrat_failure_find(error->operation, error->request, error->code, &failure);
    switch (failure.kind) {
    case NETSTRAT_KIND_INVALID_NAME:
        error_describe_name(&to, name, failure.hint);
        break;
    case NETSTRAT_KIND_INVALID_COUNTER:
    case NETSTRAT_KIND_PARSE:
        error_describe_counter(&to, name, error, failure.hint);
        break;
    default:
        error_describe_call(&to, name, error, failure.hint);
        break;
    }
    if (size > 0)
        text[to.length < to.room ? to.length : to.room] = '\0';
    return to.length;
}
