/* SPDX-License-Identifier: MIT */
/* Queueing disciplines and the filter that redirects: each request byte by byte, and the decoding
 * of RTM_NEWQDISC and RTM_NEWTFILTER, complete, truncated and malformed. */
#include <errno.h>
#include <stdlib.h>

#include <linux/gen_stats.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>

#include "../../csrc/netstrat.h"
#include "bytes.h"
#include "check.h"
#include "codec.h"

/* Not in the headers of older kernels. */
enum { TBF_RATE64 = 4, TBF_BURST = 6, NETEM_RATE64 = 8, NETEM_LATENCY64 = 10, NETEM_JITTER64 = 11 };

/* ---- requests ---- */

enum { SET = NLM_F_REQUEST | NLM_F_ACK, ADD = SET | NLM_F_CREATE | NLM_F_EXCL };
enum { CHANGE = SET | NLM_F_CREATE | NLM_F_REPLACE, DUMP = NLM_F_REQUEST | NLM_F_DUMP };

static struct netstrat_qdisc of_kind(const char *kind)
{
    struct netstrat_qdisc qdisc;

    memset(&qdisc, 0, sizeof qdisc);
    qdisc.index = 7;
    memcpy(qdisc.kind, kind, strlen(kind) + 1);
    return qdisc;
}

static struct netstrat_qdisc a_tbf(uint64_t rate)
{
    struct netstrat_qdisc qdisc = of_kind("tbf");

    qdisc.rate = rate;
    qdisc.burst = 20480;
    qdisc.limit = 82980;
    return qdisc;
}

static struct netstrat_qdisc a_netem(uint64_t rate)
{
    struct netstrat_qdisc qdisc = of_kind("netem");

    qdisc.rate = rate;
    qdisc.delay_ns = 10000000;
    qdisc.jitter_ns = 3000063; /* not a multiple of 64 */
    qdisc.loss = 85899346;
    qdisc.duplicate = 42949673;
    qdisc.limit = 500;
    return qdisc;
}

static struct netstrat_qdisc a_fq_codel(uint8_t ecn)
{
    struct netstrat_qdisc qdisc = of_kind("fq_codel");

    qdisc.handle = 0x10000;
    qdisc.parent = 0x80010001;
    qdisc.limit = 1000;
    qdisc.quantum = 1514;
    qdisc.interval_us = 80000;
    qdisc.target_us = 4000;
    qdisc.ecn = ecn;
    return qdisc;
}

/* A row of the table below. */
#define ENCODER(name, qdisc, replace)                                                              \
    static int name(struct netstrat_batch *batch)                                                  \
    {                                                                                              \
        const struct netstrat_qdisc wanted = qdisc;                                                \
                                                                                                   \
        return netstrat_batch_add_qdisc(batch, &wanted, replace);                                  \
    }

ENCODER(encode_tbf, a_tbf(1250000), 0)
ENCODER(encode_fast_tbf, a_tbf(0x123456789a), 1)
ENCODER(encode_fastest_small_tbf, a_tbf(UINT32_MAX), 0)
ENCODER(encode_netem, a_netem(1250000), 0)
ENCODER(encode_fast_netem, a_netem(0x123456789a), 0)
ENCODER(encode_plain_netem, of_kind("netem"), 0)
ENCODER(encode_fq_codel, a_fq_codel(NETSTRAT_QDISC_ECN_OFF), 0)
ENCODER(encode_fq_codel_ecn, a_fq_codel(NETSTRAT_QDISC_ECN_ON), 0)
ENCODER(encode_plain_fq_codel, of_kind("fq_codel"), 0)
ENCODER(encode_ingress, of_kind("ingress"), 0)

static int encode_delete(struct netstrat_batch *batch)
{
    return netstrat_batch_delete_qdisc(batch, 7, TC_H_ROOT);
}

static int encode_dump(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_qdiscs(batch);
}

static int encode_redirect(struct netstrat_batch *batch)
{
    return netstrat_batch_add_redirect(batch, 7, 9);
}

static int encode_dump_of_filters(struct netstrat_batch *batch)
{
    return netstrat_batch_dump_filters(batch, 7);
}

#define TC(index, handle, parent, info) FIXED(struct tcmsg, 0, 0, 0, index, handle, parent, info)
#define AT_ROOT TC(7, 0, TC_H_ROOT, 0)
#define VALUE(type, object, ...)                                                                   \
    ATTRIBUTE(type, (&(const object){__VA_ARGS__}), sizeof(const object))
#define U64(type, value) ATTRIBUTE(type, &(const uint64_t){value}, 8)

#define RATE(value)                                                                                \
    {                                                                                              \
        0, 0, 0, 0, 0, value                                                                       \
    }
#define TBF(rate, buffer)                                                                          \
    VALUE(TCA_TBF_PARMS, struct tc_tbf_qopt, RATE(rate), RATE(0), 82980, buffer, 0)
#define NETEM FIXED(struct tc_netem_qopt, 156250, 500, 85899346, 0, 42949673, 46875)
#define NETEM_RATE(rate) VALUE(TCA_NETEM_RATE, struct tc_netem_rate, rate, 0, 0, 0)
#define FQ_CODEL(ecn)                                                                              \
    TC(7, 0x10000, 0x80010001, 0), TEXT(TCA_KIND, "fq_codel"),                                     \
        NEST(TCA_OPTIONS, U32(TCA_FQ_CODEL_LIMIT, 1000), U32(TCA_FQ_CODEL_QUANTUM, 1514),          \
             U32(TCA_FQ_CODEL_INTERVAL, 80000), U32(TCA_FQ_CODEL_TARGET, 4000),                    \
             U32(TCA_FQ_CODEL_ECN, ecn))

/* A struct tc_u32_sel with these flags and one struct tc_u32_key with this byte of its mask. */
#define SELECTOR(flags, mask)                                                                      \
    ATTRIBUTE(TCA_U32_SEL, (&(const unsigned char[32]){flags, 0, 1, [16] = mask}), 32)
#define MIRRED(action, what, target)                                                               \
    TEXT(TCA_ACT_KIND, "mirred"),                                                                  \
        NEST(TCA_ACT_OPTIONS | NLA_F_NESTED,                                                       \
             VALUE(TCA_MIRRED_PARMS, struct tc_mirred, 0, 0, action, 0, 0, what, target))
#define REDIRECT MIRRED(TC_ACT_STOLEN, TCA_EGRESS_REDIR, 9)
/* Priority 1, and ETH_P_ALL in network order. */
#define INFO (1U << 16 | (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0x0300U : 0x0003U))
#define FILTER TC(7, 0, 0xffff0000, INFO), TEXT(TCA_KIND, "u32")

static const struct encoder encoders[] = {
    {"a tbf", encode_tbf,
     MESSAGE(RTM_NEWQDISC, ADD, AT_ROOT, TEXT(TCA_KIND, "tbf"),
             NEST(TCA_OPTIONS, TBF(1250000, 0), U32(TBF_BURST, 20480)))},
    {"a tbf of more than 32 bits", encode_fast_tbf,
     MESSAGE(RTM_NEWQDISC, CHANGE, AT_ROOT, TEXT(TCA_KIND, "tbf"),
             NEST(TCA_OPTIONS, TBF(UINT32_MAX, 0), U64(TBF_RATE64, 0x123456789a),
                  U32(TBF_BURST, 20480)))},
    {"the highest rate of 32 bits", encode_fastest_small_tbf,
     MESSAGE(RTM_NEWQDISC, ADD, AT_ROOT, TEXT(TCA_KIND, "tbf"),
             NEST(TCA_OPTIONS, TBF(UINT32_MAX, 0), U32(TBF_BURST, 20480)))},
    {"a netem", encode_netem,
     MESSAGE(RTM_NEWQDISC, ADD, AT_ROOT, TEXT(TCA_KIND, "netem"),
             NEST(TCA_OPTIONS, NETEM, NETEM_RATE(1250000)))},
    {"a netem of more than 32 bits", encode_fast_netem,
     MESSAGE(RTM_NEWQDISC, ADD, AT_ROOT, TEXT(TCA_KIND, "netem"),
             NEST(TCA_OPTIONS, NETEM, U64(NETEM_RATE64, 0x123456789a), NETEM_RATE(UINT32_MAX)))},
    {"a netem without settings", encode_plain_netem,
     MESSAGE(RTM_NEWQDISC, ADD, AT_ROOT, TEXT(TCA_KIND, "netem"),
             NEST(TCA_OPTIONS, FIXED(struct tc_netem_qopt, 0, 1000, 0, 0, 0, 0)))},
    {"an fq_codel below a class, without ECN", encode_fq_codel,
     MESSAGE(RTM_NEWQDISC, ADD, FQ_CODEL(0))},
    {"an fq_codel with ECN", encode_fq_codel_ecn, MESSAGE(RTM_NEWQDISC, ADD, FQ_CODEL(1))},
    {"an fq_codel without settings", encode_plain_fq_codel,
     MESSAGE(RTM_NEWQDISC, ADD, AT_ROOT, TEXT(TCA_KIND, "fq_codel"),
             ATTRIBUTE(TCA_OPTIONS, "", 0))},
    {"an ingress", encode_ingress,
     MESSAGE(RTM_NEWQDISC, ADD, TC(7, 0xffff0000, TC_H_INGRESS, 0), TEXT(TCA_KIND, "ingress"))},
    {"a deletion", encode_delete, MESSAGE(RTM_DELQDISC, SET, AT_ROOT)},
    {"a dump", encode_dump, MESSAGE(RTM_GETQDISC, DUMP, TC(0, 0, 0, 0))},
    {"a redirect", encode_redirect,
     MESSAGE(RTM_NEWTFILTER, ADD, FILTER,
             NEST(TCA_OPTIONS, NEST(TCA_U32_ACT, NEST(1, REDIRECT)),
                  SELECTOR(TC_U32_TERMINAL, 0)))},
    {"a dump of filters", encode_dump_of_filters,
     MESSAGE(RTM_GETTFILTER, DUMP, TC(7, 0, 0xffff0000, 0))},
};

TEST(the_requests_have_these_bytes)
{
    CHECK_ENCODERS(encoders);
}

/* Whether the encoder refuses a queueing discipline and leaves the batch unchanged. */
static int is_refused(const struct netstrat_qdisc *qdisc)
{
    unsigned char buffer[512];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(encode_delete(&batch) == 0);
    if (netstrat_batch_add_qdisc(&batch, qdisc, 0) == 0)
        return 0;
    CHECK(batch.count == 1 && batch.used == 16 + 20 && batch.code == 0);
    return 1;
}

TEST(an_invalid_qdisc_is_refused)
{
    static const char *const kinds[] = {"", "htb", "tb", "tbfx", "noqueue"};
    struct netstrat_qdisc qdisc = a_tbf(1);

    CHECK(!is_refused(&qdisc));
    qdisc.index = -1;
    CHECK(is_refused(&qdisc));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        qdisc = of_kind(kinds[i]);
        CHECK(is_refused(&qdisc));
    }
    qdisc = a_tbf(1);
    memset(qdisc.kind, 'x', sizeof qdisc.kind); /* without a NUL */
    CHECK(is_refused(&qdisc));
    qdisc = a_tbf(0);
    CHECK(is_refused(&qdisc));
    qdisc = a_tbf(1);
    qdisc.burst = 0;
    CHECK(is_refused(&qdisc));
    qdisc = a_tbf(1);
    qdisc.limit = 0;
    CHECK(is_refused(&qdisc));
    qdisc = a_netem(0);
    qdisc.delay_ns = ((uint64_t)UINT32_MAX << 6) + 63;
    CHECK(!is_refused(&qdisc));
    qdisc.delay_ns++;
    CHECK(is_refused(&qdisc));
    qdisc = a_netem(0);
    qdisc.jitter_ns = UINT64_MAX;
    CHECK(is_refused(&qdisc));
}

TEST(a_redirect_to_no_link_is_refused)
{
    unsigned char buffer[256];
    struct netstrat_batch batch;

    netstrat_batch_init(&batch, buffer, sizeof buffer);
    CHECK(netstrat_batch_add_redirect(&batch, 7, 0) == -EINVAL);
    CHECK(netstrat_batch_add_redirect(&batch, 7, -1) == -EINVAL);
    CHECK(netstrat_batch_add_redirect(&batch, -1, 7) == -EINVAL);
    CHECK(netstrat_batch_delete_qdisc(&batch, -1, TC_H_ROOT) == -EINVAL);
    CHECK(netstrat_batch_dump_filters(&batch, -1) == -EINVAL);
    CHECK(batch.used == 0 && batch.count == 0);
}

TEST(the_encoder_survives_any_bytes_as_a_qdisc)
{
    unsigned char *buffer = (unsigned char *)malloc(256);
    struct netstrat_qdisc *qdisc = (struct netstrat_qdisc *)malloc(sizeof *qdisc);
    struct netstrat_batch batch;
    uint32_t random = 1, added = 0;

    for (int i = 0; i < 20000; i++) {
        *qdisc = i % 3 == 0 ? a_tbf(1) : i % 3 == 1 ? a_netem(1) : a_fq_codel(0);
        random = scramble(qdisc, sizeof *qdisc, 3, random);
        netstrat_batch_init(&batch, buffer, (random >> 4) % 257);
        if (netstrat_batch_add_qdisc(&batch, qdisc, i % 2) == 0)
            added++;
        CHECK(batch.used <= batch.size && batch.code == 0);
    }
    CHECK(added > 1000 && added < 19000);
    free(qdisc);
    free(buffer);
}

/* ---- queueing disciplines as the kernel reports them ---- */

static int decode(const struct netstrat_message *message)
{
    struct netstrat_qdisc qdisc, before;
    int code;

    memset(&qdisc, 0xa5, sizeof qdisc);
    before = qdisc;
    code = netstrat_qdisc_decode(message, &qdisc);
    if (code < 0) {
        CHECK(code == -EBADMSG);
        CHECK(memcmp(&qdisc, &before, sizeof qdisc) == 0);
    } else {
        CHECK(qdisc.index > 0 && qdisc.kind[0] != '\0');
        CHECK(memchr(qdisc.kind, '\0', sizeof qdisc.kind) != NULL);
        CHECK(qdisc.ecn <= NETSTRAT_QDISC_ECN_OFF && qdisc.burst == 0);
    }
    return code;
}

static struct netstrat_qdisc decoded(const struct bytes *bytes)
{
    struct netstrat_message message = only_message(bytes);
    struct netstrat_qdisc qdisc;

    memset(&qdisc, 0xa5, sizeof qdisc);
    CHECK(netstrat_qdisc_decode(&message, &qdisc) == 0);
    return qdisc;
}

#define LARGE 0x123456789a
/* struct gnet_stats_basic. What fills it up to a multiple of its alignment is initialized, too. */
struct basic {
    uint64_t bytes;
    uint32_t packets;
    uint32_t filler;
};
#define BASIC                                                                                      \
    ATTRIBUTE(TCA_STATS_BASIC, (&(const struct basic){LARGE, 77, 0}),                              \
              sizeof(struct gnet_stats_basic))
#define COUNTERS                                                                                   \
    NEST(TCA_STATS2, BASIC, VALUE(TCA_STATS_QUEUE, struct gnet_stats_queue, 3, 4542, 11, 5, 99))

TEST(every_field_of_a_tbf_is_decoded)
{
    const uint16_t deleted = RTM_DELQDISC;
    struct bytes bytes = BYTES_OF(RTM_NEWQDISC, 0, TC(7, 0x80010000, TC_H_ROOT, 2),
                                  TEXT(TCA_KIND, "tbf"), NEST(TCA_OPTIONS, TBF(1250000, 256000)),
                                  COUNTERS);
    struct netstrat_qdisc qdisc = decoded(&bytes);

    CHECK(qdisc.index == 7 && qdisc.handle == 0x80010000 && qdisc.parent == TC_H_ROOT);
    CHECK(strcmp(qdisc.kind, "tbf") == 0 && qdisc.rate == 1250000 && qdisc.limit == 82980);
    CHECK(qdisc.burst_ns == 16384000);
    CHECK(qdisc.bytes == LARGE && qdisc.packets == 77 && qdisc.dropped == 11);
    CHECK(qdisc.overlimits == 99 && qdisc.backlog == 4542 && qdisc.queued == 3);
    check_mutations(decode, &bytes);

    memcpy(bytes.data + 4, &deleted, sizeof deleted);
    CHECK(decoded(&bytes).index == 7);
}

TEST(a_rate_of_more_than_32_bits_is_decoded)
{
    struct bytes tbf = BYTES_OF(RTM_NEWQDISC, 0, AT_ROOT, TEXT(TCA_KIND, "tbf"),
                                NEST(TCA_OPTIONS, TBF(UINT32_MAX, 1), U64(TBF_RATE64, LARGE)));
    struct bytes reversed = BYTES_OF(RTM_NEWQDISC, 0, AT_ROOT, TEXT(TCA_KIND, "tbf"),
                                     NEST(TCA_OPTIONS, U64(TBF_RATE64, LARGE), TBF(UINT32_MAX, 1)));
    struct bytes netem = BYTES_OF(RTM_NEWQDISC, 0, AT_ROOT, TEXT(TCA_KIND, "netem"),
                                  NEST(TCA_OPTIONS, NETEM, U64(NETEM_RATE64, LARGE),
                                       NETEM_RATE(UINT32_MAX)));

    CHECK(decoded(&tbf).rate == LARGE);
    CHECK(decoded(&reversed).rate == LARGE);
    CHECK(decoded(&netem).rate == LARGE);
    check_mutations(decode, &tbf);
    check_mutations(decode, &netem);
}

TEST(every_field_of_a_netem_is_decoded)
{
    struct bytes bytes = BYTES_OF(RTM_NEWQDISC, 0, AT_ROOT, TEXT(TCA_KIND, "netem"),
                                  NEST(TCA_OPTIONS, NETEM, NETEM_RATE(1250000)));
    struct bytes precise = BYTES_OF(RTM_NEWQDISC, 0, AT_ROOT, TEXT(TCA_KIND, "netem"),
                                    NEST(TCA_OPTIONS, NETEM, U64(NETEM_LATENCY64, 1000001),
                                         U64(NETEM_JITTER64, 2000003)));
    struct netstrat_qdisc qdisc = decoded(&bytes);

    CHECK(qdisc.delay_ns == 10000000 && qdisc.jitter_ns == 3000000 && qdisc.rate == 1250000);
    CHECK(qdisc.limit == 500 && qdisc.loss == 85899346 && qdisc.duplicate == 42949673);
    check_mutations(decode, &bytes);
    qdisc = decoded(&precise);
    CHECK(qdisc.delay_ns == 1000001 && qdisc.jitter_ns == 2000003 && qdisc.rate == 0);
    check_mutations(decode, &precise);
}

TEST(every_field_of_an_fq_codel_is_decoded)
{
    struct bytes with_ecn = BYTES_OF(RTM_NEWQDISC, 0, FQ_CODEL(1));
    struct bytes without = BYTES_OF(RTM_NEWQDISC, 0, FQ_CODEL(0));
    struct netstrat_qdisc qdisc = decoded(&with_ecn), wanted = a_fq_codel(NETSTRAT_QDISC_ECN_ON);

    CHECK(qdisc.handle == wanted.handle && qdisc.parent == wanted.parent);
    CHECK(qdisc.limit == wanted.limit && qdisc.quantum == wanted.quantum);
    CHECK(qdisc.interval_us == wanted.interval_us && qdisc.target_us == wanted.target_us);
    CHECK(qdisc.ecn == NETSTRAT_QDISC_ECN_ON);
    CHECK(decoded(&without).ecn == NETSTRAT_QDISC_ECN_OFF);
    check_mutations(decode, &with_ecn);
}

TEST(the_settings_of_another_kind_are_ignored)
{
    struct bytes bytes = BYTES_OF(RTM_NEWQDISC, 0, TC(7, 0, 0, 0), TEXT(TCA_KIND, "noqueue"),
                                  NEST(TCA_OPTIONS, TBF(1, 1), U32(TCA_FQ_CODEL_LIMIT, 5)));
    struct bytes fifo = BYTES_OF(RTM_NEWQDISC, 0, TC(7, 0, 0, 0), TEXT(TCA_KIND, "pfifo_fast"),
                                 NEST(TCA_OPTIONS, FIXED(struct tc_prio_qopt, 3, {1, 2, 2, 2})));
    struct netstrat_qdisc qdisc = decoded(&bytes);

    CHECK(strcmp(qdisc.kind, "noqueue") == 0 && qdisc.rate == 0 && qdisc.limit == 0);
    check_mutations(decode, &bytes);
    qdisc = decoded(&fifo); /* its settings, a struct, are no attributes */
    CHECK(strcmp(qdisc.kind, "pfifo_fast") == 0 && qdisc.limit == 0);
    check_mutations(decode, &fifo);
}

TEST(a_qdisc_without_a_kind_or_a_link_is_malformed)
{
    struct bytes nameless = BYTES_OF(RTM_NEWQDISC, 0, AT_ROOT);
    struct bytes everywhere = BYTES_OF(RTM_NEWQDISC, 0, TC(0, 0, TC_H_ROOT, 0),
                                       TEXT(TCA_KIND, "tbf"));
    struct bytes longer = BYTES_OF(RTM_NEWQDISC, 0, AT_ROOT, TEXT(TCA_KIND, "a-kind-of-16-byt"));
    struct bytes other = BYTES_OF(RTM_GETQDISC, 0, AT_ROOT, TEXT(TCA_KIND, "tbf"));
    const struct bytes *rows[] = {&nameless, &everywhere, &longer, &other};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct netstrat_message message = only_message(rows[i]);

        CHECK(decode(&message) == -EBADMSG);
    }
}

/* Decodes a queueing discipline whose options or counters have one attribute, truncated. */
static int decode_with(const char *kind, uint16_t nest, size_t before, uint16_t type, size_t size)
{
    static const unsigned char zeros[64] = {0};
    const struct tcmsg fixed = {0, 0, 0, 7, 0, 0, 0};
    struct bytes bytes = {{0}, 0};
    size_t at = begin(&bytes, RTM_NEWQDISC, 0, 1, 2), options;
    struct netstrat_message message;

    put(&bytes, &fixed, sizeof fixed);
    attribute(&bytes, TCA_KIND, kind, strlen(kind) + 1);
    options = open_attribute(&bytes, nest);
    put(&bytes, zeros, before);
    if (type != 0)
        attribute(&bytes, type, zeros, size);
    close_attribute(&bytes, options);
    finish(&bytes, at);
    message = only_message(&bytes);
    return decode(&message);
}

TEST(a_setting_or_counter_of_the_wrong_size_is_malformed)
{
    const size_t netem = sizeof(struct tc_netem_qopt);
    const struct {
        const char *kind;
        uint16_t nest;
        size_t before;
        uint16_t type;
        size_t least;
    } rows[] = {
        {"tbf", TCA_OPTIONS, 0, TCA_TBF_PARMS, sizeof(struct tc_tbf_qopt)},
        {"tbf", TCA_OPTIONS, 0, TBF_RATE64, 8},
        {"netem", TCA_OPTIONS, netem, TCA_NETEM_RATE, sizeof(struct tc_netem_rate)},
        {"netem", TCA_OPTIONS, netem, NETEM_RATE64, 8},
        {"netem", TCA_OPTIONS, netem, NETEM_LATENCY64, 8},
        {"netem", TCA_OPTIONS, netem, NETEM_JITTER64, 8},
        {"fq_codel", TCA_OPTIONS, 0, TCA_FQ_CODEL_LIMIT, 4},
        {"fq_codel", TCA_OPTIONS, 0, TCA_FQ_CODEL_QUANTUM, 4},
        {"fq_codel", TCA_OPTIONS, 0, TCA_FQ_CODEL_INTERVAL, 4},
        {"fq_codel", TCA_OPTIONS, 0, TCA_FQ_CODEL_TARGET, 4},
        {"fq_codel", TCA_OPTIONS, 0, TCA_FQ_CODEL_ECN, 4},
        {"noqueue", TCA_STATS2, 0, TCA_STATS_BASIC, 12},
        {"noqueue", TCA_STATS2, 0, TCA_STATS_QUEUE, sizeof(struct gnet_stats_queue)},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t size = 0; size <= 64; size++)
            CHECK(decode_with(rows[i].kind, rows[i].nest, rows[i].before, rows[i].type, size) ==
                  (size >= rows[i].least ? 0 : -EBADMSG));
    for (size_t size = 0; size <= netem; size++) /* the struct before a netem's attributes */
        CHECK(decode_with("netem", TCA_OPTIONS, size, 0, 0) == (size == netem ? 0 : -EBADMSG));
}

/* ---- filters ---- */

static int decode_filter(const struct netstrat_message *message)
{
    struct netstrat_filter filter, before;
    int code;

    memset(&filter, 0xa5, sizeof filter);
    before = filter;
    code = netstrat_filter_decode(message, &filter);
    if (code < 0) {
        CHECK(code == -EBADMSG);
        CHECK(memcmp(&filter, &before, sizeof filter) == 0);
    } else {
        CHECK(filter.index > 0 && filter.target >= 0);
        CHECK(filter.selects <= 1 && filter.everything <= filter.selects);
    }
    return code;
}

static struct netstrat_filter filter_in(const struct bytes *bytes)
{
    struct netstrat_message message = only_message(bytes);
    struct netstrat_filter filter;

    memset(&filter, 0xa5, sizeof filter);
    CHECK(netstrat_filter_decode(&message, &filter) == 0);
    return filter;
}

#define U32_WITH(selector, ...)                                                                    \
    BYTES_OF(RTM_NEWTFILTER, 0, FILTER, NEST(TCA_OPTIONS, selector, NEST(TCA_U32_ACT, __VA_ARGS__)))
#define ALL SELECTOR(TC_U32_TERMINAL, 0)

TEST(the_filter_that_redirects_is_decoded)
{
    const uint16_t deleted = RTM_DELTFILTER;
    struct bytes bytes = U32_WITH(ALL, NEST(1, REDIRECT));
    struct netstrat_filter filter = filter_in(&bytes);

    CHECK(filter.index == 7 && filter.parent == 0xffff0000 && filter.priority == 1);
    CHECK(filter.protocol == 3 && filter.selects && filter.everything && filter.target == 9);
    check_mutations(decode_filter, &bytes);
    memcpy(bytes.data + 4, &deleted, sizeof deleted);
    CHECK(filter_in(&bytes).target == 9);
}

TEST(a_filter_that_lets_packets_pass_is_not_a_redirect)
{
    struct bytes some = U32_WITH(SELECTOR(TC_U32_TERMINAL, 0xff), NEST(1, REDIRECT));
    struct bytes not_terminal = U32_WITH(SELECTOR(0, 0), NEST(1, REDIRECT));
    struct bytes mirror = U32_WITH(ALL, NEST(1, MIRRED(TC_ACT_STOLEN, TCA_EGRESS_MIRROR, 9)));
    struct bytes piped = U32_WITH(ALL, NEST(1, MIRRED(TC_ACT_PIPE, TCA_EGRESS_REDIR, 9)));
    struct bytes gone = U32_WITH(ALL, NEST(1, MIRRED(TC_ACT_STOLEN, TCA_EGRESS_REDIR, 0)));
    struct bytes no_index = U32_WITH(ALL,
                                     NEST(1, MIRRED(TC_ACT_STOLEN, TCA_EGRESS_REDIR, UINT32_MAX)));
    struct bytes second = U32_WITH(ALL, NEST(1, TEXT(TCA_ACT_KIND, "gact")), NEST(2, REDIRECT));
    const struct bytes *without_target[] = {&mirror, &piped, &gone, &no_index, &second};

    CHECK(filter_in(&some).everything == 0 && filter_in(&some).target == 9);
    CHECK(filter_in(&not_terminal).everything == 0 && filter_in(&not_terminal).selects);
    for (size_t i = 0; i < sizeof without_target / sizeof *without_target; i++) {
        CHECK(filter_in(without_target[i]).target == 0);
        CHECK(filter_in(without_target[i]).everything);
        check_mutations(decode_filter, without_target[i]);
    }
}

TEST(a_row_about_a_table_selects_nothing)
{
    struct bytes table = BYTES_OF(RTM_NEWTFILTER, 0, FILTER, NEST(TCA_OPTIONS, U32(4, 1)));
    struct bytes priority = BYTES_OF(RTM_NEWTFILTER, 0, FILTER);
    struct bytes other = BYTES_OF(RTM_NEWTFILTER, 0, TC(7, 1, 0xffff0000, INFO),
                                  TEXT(TCA_KIND, "bpf"), NEST(TCA_OPTIONS, ALL));

    CHECK(!filter_in(&table).selects && !filter_in(&priority).selects);
    CHECK(filter_in(&other).selects && !filter_in(&other).everything);
    check_mutations(decode_filter, &other);
}

TEST(a_truncated_message_is_malformed)
{
    struct bytes qdisc = BYTES_OF(RTM_NEWQDISC, 0, AT_ROOT, TEXT(TCA_KIND, "tbf"));
    struct bytes filter = BYTES_OF(RTM_NEWTFILTER, 0, FILTER);
    struct netstrat_message message = only_message(&qdisc);

    message.payload.missing = 4;
    CHECK(decode(&message) == -EBADMSG);
    message = only_message(&filter);
    message.payload.missing = 4;
    CHECK(decode_filter(&message) == -EBADMSG);
}

TEST(a_filter_without_a_kind_or_a_link_is_malformed)
{
    struct bytes nameless = BYTES_OF(RTM_NEWTFILTER, 0, TC(7, 0, 0xffff0000, INFO));
    struct bytes everywhere = BYTES_OF(RTM_NEWTFILTER, 0, TC(0, 0, 0xffff0000, INFO),
                                       TEXT(TCA_KIND, "u32"));
    struct bytes other = BYTES_OF(RTM_GETTFILTER, 0, FILTER);
    struct bytes short_key = U32_WITH(ATTRIBUTE(TCA_U32_SEL, "\1\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 16),
                                      NEST(1, REDIRECT));
    struct bytes short_selector =
        U32_WITH(ATTRIBUTE(TCA_U32_SEL, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0", 15), NEST(1, REDIRECT));
    struct bytes short_action =
        U32_WITH(ALL, NEST(1, TEXT(TCA_ACT_KIND, "mirred"),
                           NEST(TCA_ACT_OPTIONS,
                                ATTRIBUTE(TCA_MIRRED_PARMS, "123456789012345678901234567", 27))));
    struct bytes long_kind = U32_WITH(ALL, NEST(1, TEXT(TCA_ACT_KIND, "an-action-of-16b")));
    const struct bytes *rows[] = {&nameless,       &everywhere,   &other,    &short_key,
                                  &short_selector, &short_action, &long_kind};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct netstrat_message message = only_message(rows[i]);

        CHECK(decode_filter(&message) == -EBADMSG);
    }
}
