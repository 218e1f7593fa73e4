/* SPDX-License-Identifier: MIT */
/* Messages of nf_tables as data, with the constants of the kernel's own headers. */
#ifndef NFT_H
#define NFT_H

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

enum { TABLES = NFNL_SUBSYS_NFTABLES << 8, DUMP = NLM_F_REQUEST | NLM_F_DUMP };

#define WITHIN(type, ...) NEST(NLA_F_NESTED | (type), __VA_ARGS__)
#define GENERIC(family, resource) FIXED(struct nfgenmsg, family, 0, resource)
#define OURS FIXED(struct nfgenmsg, NFPROTO_INET, 0, 0), TEXT(1, "pynetstrat")
#define VALUE(type, bytes) WITHIN(type, ATTRIBUTE(NFTA_DATA_VALUE, bytes, sizeof(bytes) - 1))
#define ITEM(...) WITHIN(NFTA_LIST_ELEM, __VA_ARGS__)

#endif
