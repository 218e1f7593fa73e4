"""Builds the extension pynetstrat._core with cffi, from the declarations in netstrat.h."""

import sysconfig
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
SOURCES = (HERE / "sources").read_text().split()

_declarations = (HERE / "netstrat.h").read_text()
_declarations = _declarations.split("/* cffi: begin */")[1].split("/* cffi: end */")[0]
_declarations = _declarations.replace("NETSTRAT_API ", "")

# Constants of the kernel that the package uses, with the header of each. The compiler supplies
# their values. Those newer than Linux 3.10 are named NETSTRAT_* and listed in internal.h.
CONSTANTS = {
    "linux/if_addr.h": (
        *("IFA_F_NODAD", "IFA_F_DADFAILED", "IFA_F_TENTATIVE", "IFA_F_PERMANENT"),
        "NETSTRAT_IFA_F_NOPREFIXROUTE",
    ),
    "linux/if_ether.h": ("ETH_P_ALL",),
    "linux/if_link.h": (
        *("MACVLAN_MODE_PRIVATE", "MACVLAN_MODE_VEPA", "MACVLAN_MODE_BRIDGE"),
        *("MACVLAN_MODE_PASSTHRU", "NETSTRAT_IFLA_PROP_LIST", "NETSTRAT_IFLA_ALT_IFNAME"),
        *("NETSTRAT_IFLA_XDP", "NETSTRAT_IFLA_XDP_FD"),
    ),
    "linux/netlink.h": (
        *("NLMSG_ERROR", "NLMSG_DONE", "NLM_F_REQUEST", "NLM_F_ACK", "NLM_F_MULTI"),
        *("NLM_F_EXCL", "NLM_F_CREATE", "NLA_F_NESTED", "NETSTRAT_NLM_F_DUMP_INTR"),
        *("NETLINK_ROUTE", "NETLINK_NETFILTER"),
    ),
    "linux/rtnetlink.h": (
        *("RTM_NEWLINK", "RTM_DELLINK", "RTM_GETLINK", "RTM_NEWADDR", "RTM_DELADDR"),
        *("RTM_GETADDR", "RTM_NEWROUTE", "RTM_DELROUTE", "RTM_GETROUTE"),
        *("NETSTRAT_RTM_GETNSID", "NETSTRAT_RTM_NEWLINKPROP", "NETSTRAT_RTM_DELLINKPROP"),
        *("RTNLGRP_LINK", "RTNLGRP_IPV4_IFADDR", "RTNLGRP_IPV6_IFADDR"),
        *("RTN_UNICAST", "RTN_LOCAL"),
        *("RTN_BLACKHOLE", "RTN_UNREACHABLE", "RTN_PROHIBIT", "RTN_THROW"),
        *("RTPROT_KERNEL", "RTPROT_STATIC", "RT_SCOPE_UNIVERSE", "RT_SCOPE_LINK"),
        *("RT_TABLE_MAIN", "RTM_F_CLONED", "RTNH_F_ONLINK"),
        *("RTM_NEWQDISC", "RTM_DELQDISC", "RTM_GETQDISC", "RTM_NEWTFILTER", "RTM_GETTFILTER"),
    ),
    "linux/pkt_sched.h": ("TC_H_ROOT", "TC_H_INGRESS"),
    "fcntl.h": ("AT_FDCWD",),
    "net/if.h": (
        *("IFF_DEBUG", "IFF_NOTRAILERS", "IFF_NOARP", "IFF_PROMISC", "IFF_ALLMULTI"),
        *("IFF_MULTICAST", "IFF_PORTSEL", "IFF_AUTOMEDIA", "IFF_DYNAMIC"),
    ),
    "sched.h": ("CLONE_NEWNS", "CLONE_NEWUSER", "CLONE_NEWNET"),
    "signal.h": ("SIGKILL",),
    "sys/ioctl.h": ("NETSTRAT_NS_GET_USERNS",),
    "sys/mount.h": (
        *("MS_BIND", "MS_REC", "MS_PRIVATE", "MS_SLAVE"),
        *("MS_RDONLY", "MS_NOSUID", "MS_NODEV", "MS_NOEXEC"),
    ),
    "sys/prctl.h": ("PR_SET_PDEATHSIG",),
    "sys/socket.h": ("AF_INET", "AF_INET6", "AF_BRIDGE"),
}

ffibuilder = FFI()
ffibuilder.cdef(_declarations)
for names in CONSTANTS.values():
    ffibuilder.cdef("".join(f"#define {name} ...\n" for name in names))
ffibuilder.cdef("#define NETSTRAT_SIOCGSKNS ...")  # linux/sockios.h; listed in internal.h
# The fixed part of a message about a link (linux/rtnetlink.h).
ffibuilder.cdef("""
    struct ifinfomsg {
        unsigned char ifi_family;
        int ifi_index;
        unsigned ifi_flags;
        unsigned ifi_change;
        ...;
    };
""")
# The core calls it when a signal interrupts a wait, so that Python's signal handlers run: see
# pynetstrat/_native/__init__.py.
ffibuilder.cdef('extern "Python" int pynetstrat_interrupted(void *context);')
ffibuilder.cdef("int prctl(int option, ...);")  # man 2 prctl
ffibuilder.set_source(
    "pynetstrat._core",
    '#include "internal.h"\n' + "".join(f"#include <{header}>\n" for header in CONSTANTS),
    include_dirs=["csrc"],
    sources=[f"csrc/{source}" for source in SOURCES],
    depends=["csrc/netstrat.h", "csrc/internal.h"],
    define_macros=[("_GNU_SOURCE", None)],
    extra_compile_args=["-std=c11", "-fvisibility=hidden"],
    libraries=["pthread"],
    py_limited_api=not sysconfig.get_config_var("Py_GIL_DISABLED"),  # as in setup.py
)
