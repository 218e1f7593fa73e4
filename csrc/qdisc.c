/* SPDX-License-Identifier: MIT */
/*
 * Queueing disciplines: RTM_NEWQDISC, RTM_DELQDISC and RTM_GETQDISC; the filter that redirects what
 * a link receives: RTM_NEWTFILTER and RTM_GETTFILTER. On the host end of a veth pair they limit
 * what the container receives and, by an ifb, what it sends:
 *
 *                       host end
 *                     +-------------------------------------------------------+
 *     container <-----|--- TC_H_ROOT: tbf <-----------------------------------|--- host
 *                     |                                                       |
 *     container ------|--> TC_H_INGRESS: ingress --> filter: u32, mirred --+  |
 *                     +----------------------------------------------------|--+
 *                       ifb                                                v
 *                     +-------------------------------------------------------+
 *          host <-----|--- TC_H_ROOT: tbf <-----------------------------------|
 *                     +-------------------------------------------------------+
 *                       (as if the host end had just received the packet)
 *
 * The filter's attributes, with the fixed part struct tcmsg before them:
 *
 *     TCA_KIND "u32"
 *     TCA_OPTIONS
 *       +-- TCA_U32_ACT                   the actions, numbered from 1
 *       |     +-- 1
 *       |           +-- TCA_ACT_KIND "mirred"
 *       |           +-- TCA_ACT_OPTIONS
 *       |                 +-- TCA_MIRRED_PARMS  struct tc_mirred: redirect, the target's index
 *       +-- TCA_U32_SEL                   struct tc_u32_sel, then one struct tc_u32_key: mask 0
 */
#include "internal.h"

#include <errno.h>

#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>

/* The unit in which the kernel takes times (PSCHED_SHIFT, net/pkt_sched.h): 2^6 ns. */
enum { QDISC_TICK_SHIFT = 6 };

/* The priority of the filter. */
enum { QDISC_PRIORITY = 1 };

/* The limit of a netem without one, in packets, as `tc` sets it. */
enum { QDISC_NETEM_LIMIT = 1000 };

#define QDISC_INGRESS_HANDLE (TC_H_MAJ(TC_H_INGRESS))

/* Converts a protocol of a filter between host and network order. */
static uint16_t qdisc_protocol(uint16_t protocol)
{
    unsigned char bytes[sizeof protocol];

    memcpy(bytes, &protocol, sizeof bytes);
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* ---- requests ---- */

static void qdisc_begin(struct netstrat_batch *batch, uint16_t type, uint16_t flags, int32_t index,
                        uint32_t handle, uint32_t parent, uint32_t info)
{
    struct tcmsg fixed;

    memset(&fixed, 0, sizeof fixed);
    fixed.tcm_ifindex = index;
    fixed.tcm_handle = handle;
    fixed.tcm_parent = parent;
    fixed.tcm_info = info;
    netstrat_batch_begin(batch, type, flags);
    netstrat_batch_append(batch, &fixed, sizeof fixed);
    if (index < 0)
        netstrat_batch_refuse(batch, -EINVAL);
}

/* Begins an attribute that contains others. netstrat_batch_nest() would add NLA_F_NESTED, which
 * `tc` does not set here, and a netem's attributes follow a struct. Returns the offset for
 * netstrat_batch_nest_end(). */
static size_t qdisc_nest(struct netstrat_batch *batch, uint16_t type, const void *value,
                         size_t size)
{
    netstrat_batch_put(batch, type, value, size);
    return batch->code == 0 ? batch->used - netstrat_align(sizeof(struct rtattr) + size) : 0;
}

static void qdisc_put_u64(struct netstrat_batch *batch, uint16_t type, uint64_t value)
{
    netstrat_batch_put(batch, type, &value, sizeof value);
}

static void qdisc_put_if_set(struct netstrat_batch *batch, uint16_t type, uint32_t value)
{
    if (value != 0)
        netstrat_batch_put_u32(batch, type, value);
}

/* The part of a rate that fits 32 bits. A larger one has an attribute of its own. */
static uint32_t qdisc_low_rate(uint64_t rate)
{
    return rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
}

static void qdisc_put_tbf(struct netstrat_batch *batch, const struct netstrat_qdisc *qdisc)
{
    struct tc_tbf_qopt options;
    size_t nest;

    memset(&options, 0, sizeof options);
    options.rate.rate = qdisc_low_rate(qdisc->rate);
    options.limit = qdisc->limit;
    if (qdisc->rate == 0 || qdisc->burst == 0 || qdisc->limit == 0)
        netstrat_batch_refuse(batch, -EINVAL);
    nest = qdisc_nest(batch, TCA_OPTIONS, "", 0);
    netstrat_batch_put(batch, TCA_TBF_PARMS, &options, sizeof options);
    if (qdisc->rate > UINT32_MAX)
        qdisc_put_u64(batch, NETSTRAT_TCA_TBF_RATE64, qdisc->rate);
    /* It replaces the time in `options` and the table of rates, which `tc` sends as well. */
    netstrat_batch_put_u32(batch, NETSTRAT_TCA_TBF_BURST, qdisc->burst);
    netstrat_batch_nest_end(batch, nest);
}

/* Converts a time to the kernel's unit; refuses the message if it does not fit. */
static uint32_t qdisc_ticks(struct netstrat_batch *batch, uint64_t time_ns)
{
    uint64_t ticks = time_ns >> QDISC_TICK_SHIFT;

    if (ticks > UINT32_MAX)
        netstrat_batch_refuse(batch, -EINVAL);
    return (uint32_t)ticks;
}

static void qdisc_put_netem(struct netstrat_batch *batch, const struct netstrat_qdisc *qdisc)
{
    struct tc_netem_qopt options;
    struct tc_netem_rate rate;
    size_t nest;

    memset(&options, 0, sizeof options);
    options.latency = qdisc_ticks(batch, qdisc->delay_ns);
    options.jitter = qdisc_ticks(batch, qdisc->jitter_ns);
    options.limit = qdisc->limit != 0 ? qdisc->limit : (uint32_t)QDISC_NETEM_LIMIT;
    options.loss = qdisc->loss;
    options.duplicate = qdisc->duplicate;
    nest = qdisc_nest(batch, TCA_OPTIONS, &options, sizeof options);
    if (qdisc->rate > UINT32_MAX)
        qdisc_put_u64(batch, NETSTRAT_TCA_NETEM_RATE64, qdisc->rate);
    if (qdisc->rate != 0) {
        memset(&rate, 0, sizeof rate);
        rate.rate = qdisc_low_rate(qdisc->rate);
        netstrat_batch_put(batch, TCA_NETEM_RATE, &rate, sizeof rate);
    }
    netstrat_batch_nest_end(batch, nest);
}

static void qdisc_put_fq_codel(struct netstrat_batch *batch, const struct netstrat_qdisc *qdisc)
{
    size_t nest = qdisc_nest(batch, TCA_OPTIONS, "", 0);

    qdisc_put_if_set(batch, TCA_FQ_CODEL_LIMIT, qdisc->limit);
    qdisc_put_if_set(batch, TCA_FQ_CODEL_QUANTUM, qdisc->quantum);
    qdisc_put_if_set(batch, TCA_FQ_CODEL_INTERVAL, qdisc->interval_us);
    qdisc_put_if_set(batch, TCA_FQ_CODEL_TARGET, qdisc->target_us);
    if (qdisc->ecn != NETSTRAT_QDISC_ECN_DEFAULT)
        netstrat_batch_put_u32(batch, TCA_FQ_CODEL_ECN, qdisc->ecn == NETSTRAT_QDISC_ECN_ON);
    netstrat_batch_nest_end(batch, nest);
}

static void qdisc_put_options(struct netstrat_batch *batch, const char *kind,
                              const struct netstrat_qdisc *qdisc)
{
    if (strcmp(kind, "tbf") == 0)
        qdisc_put_tbf(batch, qdisc);
    else if (strcmp(kind, "netem") == 0)
        qdisc_put_netem(batch, qdisc);
    else if (strcmp(kind, "fq_codel") == 0)
        qdisc_put_fq_codel(batch, qdisc);
    else if (strcmp(kind, "ingress") != 0)
        netstrat_batch_refuse(batch, -EINVAL);
}

int netstrat_batch_add_qdisc(struct netstrat_batch *batch, const struct netstrat_qdisc *qdisc,
                             int replace)
{
    const uint16_t flags = replace ? NLM_F_REPLACE : NLM_F_EXCL;
    uint32_t handle = qdisc->handle;
    uint32_t parent = qdisc->parent != 0 ? qdisc->parent : TC_H_ROOT;
    char kind[sizeof qdisc->kind];

    memcpy(kind, qdisc->kind, sizeof kind);
    kind[sizeof kind - 1] = '\0';
    if (strcmp(kind, "ingress") == 0) {
        handle = QDISC_INGRESS_HANDLE;
        parent = TC_H_INGRESS;
    }
    qdisc_begin(batch, RTM_NEWQDISC, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | flags, qdisc->index,
                handle, parent, 0);
    netstrat_batch_put_string(batch, TCA_KIND, kind);
    qdisc_put_options(batch, kind, qdisc);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_delete_qdisc(struct netstrat_batch *batch, int32_t index, uint32_t parent)
{
    qdisc_begin(batch, RTM_DELQDISC, NLM_F_REQUEST | NLM_F_ACK, index, 0, parent, 0);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_dump_qdiscs(struct netstrat_batch *batch)
{
    qdisc_begin(batch, RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, 0, 0, 0, 0);
    return netstrat_batch_finish(batch);
}

/* Puts the action "mirred", as action 1. */
static void qdisc_put_mirred(struct netstrat_batch *batch, int32_t target)
{
    size_t actions = qdisc_nest(batch, TCA_U32_ACT, "", 0);
    size_t action = qdisc_nest(batch, 1, "", 0);
    struct tc_mirred options;
    size_t nest;

    memset(&options, 0, sizeof options);
    options.action = TC_ACT_STOLEN;
    options.eaction = TCA_EGRESS_REDIR;
    options.ifindex = (uint32_t)target;
    netstrat_batch_put_string(batch, TCA_ACT_KIND, "mirred");
    nest = netstrat_batch_nest(batch, TCA_ACT_OPTIONS);
    netstrat_batch_put(batch, TCA_MIRRED_PARMS, &options, sizeof options);
    netstrat_batch_nest_end(batch, nest);
    netstrat_batch_nest_end(batch, action);
    netstrat_batch_nest_end(batch, actions);
}

int netstrat_batch_add_redirect(struct netstrat_batch *batch, int32_t index, int32_t target)
{
    const uint32_t info = (uint32_t)QDISC_PRIORITY << 16 | qdisc_protocol(ETH_P_ALL);
    unsigned char selection[sizeof(struct tc_u32_sel) + sizeof(struct tc_u32_key)];
    struct tc_u32_sel head;
    size_t nest;

    memset(&head, 0, sizeof head);
    head.flags = TC_U32_TERMINAL;
    head.nkeys = 1;
    memset(selection, 0, sizeof selection); /* a key with mask 0 matches every packet */
    memcpy(selection, &head, sizeof head);
    qdisc_begin(batch, RTM_NEWTFILTER, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, index,
                0, QDISC_INGRESS_HANDLE, info);
    if (target <= 0)
        netstrat_batch_refuse(batch, -EINVAL);
    netstrat_batch_put_string(batch, TCA_KIND, "u32");
    nest = qdisc_nest(batch, TCA_OPTIONS, "", 0);
    qdisc_put_mirred(batch, target);
    netstrat_batch_put(batch, TCA_U32_SEL, selection, sizeof selection);
    netstrat_batch_nest_end(batch, nest);
    return netstrat_batch_finish(batch);
}

int netstrat_batch_dump_filters(struct netstrat_batch *batch, int32_t index)
{
    qdisc_begin(batch, RTM_GETTFILTER, NLM_F_REQUEST | NLM_F_DUMP, index, 0, QDISC_INGRESS_HANDLE,
                0);
    return netstrat_batch_finish(batch);
}

/* ---- answers ---- */

static int qdisc_u64_decode(const struct netstrat_attribute *attribute, uint64_t *to)
{
    return netstrat_cursor_read(&attribute->value, to, sizeof *to);
}

static int qdisc_decode_tbf(const struct netstrat_attribute *attribute,
                            struct netstrat_qdisc *qdisc)
{
    struct tc_tbf_qopt options;

    if (attribute->type == NETSTRAT_TCA_TBF_RATE64)
        return qdisc_u64_decode(attribute, &qdisc->rate);
    if (attribute->type != TCA_TBF_PARMS)
        return 0;
    if (netstrat_cursor_read(&attribute->value, &options, sizeof options) < 0)
        return -EBADMSG;
    if (qdisc->rate == 0) /* otherwise NETSTRAT_TCA_TBF_RATE64 came first */
        qdisc->rate = options.rate.rate;
    qdisc->burst_ns = (uint64_t)options.buffer << QDISC_TICK_SHIFT;
    qdisc->limit = options.limit;
    return 0;
}

static int qdisc_decode_netem(const struct netstrat_attribute *attribute,
                              struct netstrat_qdisc *qdisc)
{
    struct tc_netem_rate rate;

    switch (attribute->type) {
    case NETSTRAT_TCA_NETEM_RATE64:
        return qdisc_u64_decode(attribute, &qdisc->rate);
    case NETSTRAT_TCA_NETEM_LATENCY64:
        return qdisc_u64_decode(attribute, &qdisc->delay_ns);
    case NETSTRAT_TCA_NETEM_JITTER64:
        return qdisc_u64_decode(attribute, &qdisc->jitter_ns);
    case TCA_NETEM_RATE:
        if (netstrat_cursor_read(&attribute->value, &rate, sizeof rate) < 0)
            return -EBADMSG;
        if (qdisc->rate == 0)
            qdisc->rate = rate.rate;
        return 0;
    default:
        return 0;
    }
}

static int qdisc_decode_fq_codel(const struct netstrat_attribute *attribute,
                                 struct netstrat_qdisc *qdisc)
{
    uint32_t value;

    switch (attribute->type) {
    case TCA_FQ_CODEL_LIMIT:
        return netstrat_u32_decode(&attribute->value, &qdisc->limit);
    case TCA_FQ_CODEL_QUANTUM:
        return netstrat_u32_decode(&attribute->value, &qdisc->quantum);
    case TCA_FQ_CODEL_INTERVAL:
        return netstrat_u32_decode(&attribute->value, &qdisc->interval_us);
    case TCA_FQ_CODEL_TARGET:
        return netstrat_u32_decode(&attribute->value, &qdisc->target_us);
    case TCA_FQ_CODEL_ECN:
        if (netstrat_u32_decode(&attribute->value, &value) < 0)
            return -EBADMSG;
        qdisc->ecn = value != 0 ? NETSTRAT_QDISC_ECN_ON : NETSTRAT_QDISC_ECN_OFF;
        return 0;
    default:
        return 0;
    }
}

/* Reads the struct before the attributes of a netem. */
static int qdisc_take_netem(struct netstrat_cursor *rest, struct netstrat_qdisc *qdisc)
{
    struct tc_netem_qopt options;

    if (netstrat_cursor_take(rest, &options, sizeof options) < 0)
        return -EBADMSG;
    qdisc->delay_ns = (uint64_t)options.latency << QDISC_TICK_SHIFT;
    qdisc->jitter_ns = (uint64_t)options.jitter << QDISC_TICK_SHIFT;
    qdisc->limit = options.limit;
    qdisc->loss = options.loss;
    qdisc->duplicate = options.duplicate;
    return 0;
}

/* Reads the settings of a kind that can be encoded. Those of another kind may be no attributes. */
static int qdisc_decode_options(const struct netstrat_cursor *value, struct netstrat_qdisc *qdisc)
{
    const int is_tbf = strcmp(qdisc->kind, "tbf") == 0;
    const int is_netem = strcmp(qdisc->kind, "netem") == 0;
    struct netstrat_cursor rest = *value;
    struct netstrat_attribute attribute;
    int more;

    if (!is_tbf && !is_netem && strcmp(qdisc->kind, "fq_codel") != 0)
        return 0;
    if (is_netem && qdisc_take_netem(&rest, qdisc) < 0)
        return -EBADMSG;
    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (is_tbf)
            more = qdisc_decode_tbf(&attribute, qdisc);
        else if (is_netem)
            more = qdisc_decode_netem(&attribute, qdisc);
        else
            more = qdisc_decode_fq_codel(&attribute, qdisc);
        if (more < 0)
            break;
    }
    return more;
}

/* Reads the counters, which are attributes of TCA_STATS2 (linux/gen_stats.h). */
static int qdisc_decode_counters(const struct netstrat_cursor *value, struct netstrat_qdisc *qdisc)
{
    struct netstrat_cursor rest = *value, basic;
    struct netstrat_attribute attribute;
    struct gnet_stats_queue queue;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (attribute.type == TCA_STATS_BASIC) {
            /* Field by field: the padding at the end of struct gnet_stats_basic may be missing. */
            basic = attribute.value;
            if (netstrat_cursor_take(&basic, &qdisc->bytes, sizeof qdisc->bytes) < 0 ||
                netstrat_cursor_read(&basic, &qdisc->packets, sizeof qdisc->packets) < 0)
                return -EBADMSG;
        } else if (attribute.type == TCA_STATS_QUEUE) {
            if (netstrat_cursor_read(&attribute.value, &queue, sizeof queue) < 0)
                return -EBADMSG;
            qdisc->queued = queue.qlen;
            qdisc->backlog = queue.backlog;
            qdisc->dropped = queue.drops;
            qdisc->overlimits = queue.overlimits;
        }
    }
    return more;
}

/* Reads the fixed part of a message of the type `added` or of the deletion, the type after it. */
static int qdisc_take_fixed(struct netstrat_cursor *rest, const struct netstrat_message *message,
                            uint16_t added, struct tcmsg *fixed)
{
    *rest = message->payload;
    if ((message->type != added && message->type != added + 1) || rest->missing > 0 ||
        netstrat_cursor_take(rest, fixed, sizeof *fixed) < 0 || fixed->tcm_ifindex <= 0)
        return -EBADMSG;
    return 0;
}

static int qdisc_decode_attribute(const struct netstrat_attribute *attribute,
                                  struct netstrat_qdisc *qdisc)
{
    switch (attribute->type) {
    case TCA_KIND:
        return netstrat_text_decode(&attribute->value, qdisc->kind, sizeof qdisc->kind);
    case TCA_OPTIONS: /* the kernel puts it after the kind (tc_fill_qdisc, net/sched/sch_api.c) */
        return qdisc_decode_options(&attribute->value, qdisc);
    case TCA_STATS2:
        return qdisc_decode_counters(&attribute->value, qdisc);
    default:
        return 0;
    }
}

int netstrat_qdisc_decode(const struct netstrat_message *message, struct netstrat_qdisc *qdisc)
{
    struct netstrat_attribute attribute;
    struct netstrat_qdisc read;
    struct netstrat_cursor rest;
    struct tcmsg fixed;
    int more = qdisc_take_fixed(&rest, message, RTM_NEWQDISC, &fixed);

    if (more < 0)
        return more;
    memset(&read, 0, sizeof read);
    read.index = fixed.tcm_ifindex;
    read.handle = fixed.tcm_handle;
    read.parent = fixed.tcm_parent;
    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        more = qdisc_decode_attribute(&attribute, &read);
        if (more < 0)
            break;
    }
    if (more < 0 || read.kind[0] == '\0')
        return -EBADMSG;
    *qdisc = read;
    return 0;
}

/* Reads TCA_U32_SEL: a struct tc_u32_sel, then its keys. */
static int qdisc_filter_selector(const struct netstrat_cursor *value,
                                 struct netstrat_filter *filter)
{
    struct netstrat_cursor rest = *value;
    struct tc_u32_sel head;
    struct tc_u32_key key;
    unsigned left;

    if (netstrat_cursor_take(&rest, &head, sizeof head) < 0)
        return -EBADMSG;
    filter->selects = 1;
    filter->everything = (head.flags & TC_U32_TERMINAL) != 0;
    for (left = head.nkeys; left > 0; left--) {
        if (netstrat_cursor_take(&rest, &key, sizeof key) < 0)
            return -EBADMSG;
        if (key.mask != 0)
            filter->everything = 0;
    }
    return 0;
}

/* Reads the parameters of a mirred action. */
static int qdisc_filter_mirred(const struct netstrat_cursor *value, struct netstrat_filter *filter)
{
    struct netstrat_cursor rest = *value;
    struct netstrat_attribute attribute;
    struct tc_mirred options;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (attribute.type != TCA_MIRRED_PARMS)
            continue;
        if (netstrat_cursor_read(&attribute.value, &options, sizeof options) < 0)
            return -EBADMSG;
        if (options.eaction == TCA_EGRESS_REDIR && options.action == TC_ACT_STOLEN &&
            options.ifindex <= INT32_MAX)
            filter->target = (int32_t)options.ifindex;
    }
    return more;
}

/* Reads one action. */
static int qdisc_filter_action(const struct netstrat_cursor *value, struct netstrat_filter *filter)
{
    struct netstrat_cursor rest = *value;
    struct netstrat_attribute attribute;
    char kind[NETSTRAT_NAME_SIZE] = "";
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (attribute.type == TCA_ACT_KIND)
            more = netstrat_text_decode(&attribute.value, kind, sizeof kind);
        else if (attribute.type == TCA_ACT_OPTIONS && strcmp(kind, "mirred") == 0)
            more = qdisc_filter_mirred(&attribute.value, filter);
        if (more < 0)
            break;
    }
    return more;
}

/* Reads the actions of a filter. Only the first one counts: a packet that it redirects does not
 * reach the others. */
static int qdisc_filter_actions(const struct netstrat_cursor *value, struct netstrat_filter *filter)
{
    struct netstrat_cursor rest = *value;
    struct netstrat_attribute attribute;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0)
        if (attribute.type == 1 && qdisc_filter_action(&attribute.value, filter) < 0)
            return -EBADMSG;
    return more;
}

/* Reads TCA_OPTIONS of a filter of the kind "u32". */
static int qdisc_filter_options(const struct netstrat_cursor *value, struct netstrat_filter *filter)
{
    struct netstrat_cursor rest = *value;
    struct netstrat_attribute attribute;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (attribute.type == TCA_U32_SEL)
            more = qdisc_filter_selector(&attribute.value, filter);
        else if (attribute.type == TCA_U32_ACT)
            more = qdisc_filter_actions(&attribute.value, filter);
        if (more < 0)
            break;
    }
    return more;
}

static int qdisc_filter_attributes(struct netstrat_cursor rest, struct netstrat_filter *filter)
{
    char kind[NETSTRAT_NAME_SIZE] = "";
    struct netstrat_attribute attribute;
    int more;

    while ((more = netstrat_attribute_next(&rest, &attribute)) > 0) {
        if (attribute.type == TCA_KIND) {
            more = netstrat_text_decode(&attribute.value, kind, sizeof kind);
        } else if (attribute.type == TCA_OPTIONS) {
            if (strcmp(kind, "u32") == 0)
                more = qdisc_filter_options(&attribute.value, filter);
            else
                filter->selects = 1;
        }
        if (more < 0)
            break;
    }
    return kind[0] != '\0' ? more : -EBADMSG;
}

int netstrat_filter_decode(const struct netstrat_message *message, struct netstrat_filter *filter)
{
    struct netstrat_filter read;
    struct netstrat_cursor rest;
    struct tcmsg fixed;

    if (qdisc_take_fixed(&rest, message, RTM_NEWTFILTER, &fixed) < 0)
        return -EBADMSG;
    memset(&read, 0, sizeof read);
    read.index = fixed.tcm_ifindex;
    read.parent = fixed.tcm_parent;
    read.priority = (uint16_t)(fixed.tcm_info >> 16);
    read.protocol = qdisc_protocol((uint16_t)fixed.tcm_info);
    if (qdisc_filter_attributes(rest, &read) < 0)
        return -EBADMSG;
    *filter = read;
    return 0;
}
