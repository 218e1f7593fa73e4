/* SPDX-License-Identifier: MIT */
/* The codec: bytes written, bytes read, and every byte vector that is neither. */
#include <errno.h>
#include <stdlib.h>

#include "../../csrc/internal.h"
#include "bytes.h"
#include "check.h"

#include <net/if.h>

/* ---- names ---- */

static void test_names(void)
{
    static const struct {
        const char *name;
        int kind;
    } rows[] = {
        {"lo", 0},
        {"a", 0},
        {"123456789012345", 0},
        {"1234567890123456", 1},
        {"...", 0},
        {"..a", 0},
        {".a", 0},
        {"-", 0},
        {"\x01", 0},
        {"\xc3\xa9th0", 0},
        {"\xff\xfe", 0},
        {"caf\xc3\xa0", -EINVAL}, /* U+00E0 ends in 0xa0 */
        {"a\xa0", -EINVAL},
        {"1234567890123456\xa0", 1},
        {"", -EINVAL},
        {".", -EINVAL},
        {"..", -EINVAL},
        {"/", -EINVAL},
        {"../../etc", -EINVAL},
        {"eth0/", -EINVAL},
        {"eth0:1", -EINVAL},
        {"eth 0", -EINVAL},
        {"eth0\n", -EINVAL},
        {"\teth0", -EINVAL},
        {"eth0\v", -EINVAL},
        {"eth0\f", -EINVAL},
        {"eth0\r", -EINVAL},
        {"1234567890123456/", -EINVAL},
        {"1234567890123456 ", -EINVAL},
        {"1234567890123456:", -EINVAL},
    };
    char name[200];
    unsigned c;
    size_t length;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(netstrat_check_name(rows[i].name) == rows[i].kind);

    for (length = 1; length < sizeof name; length++) {
        memset(name, 'x', length);
        name[length] = '\0';
        CHECK(netstrat_check_name(name) == (length < 16 ? 0 : length < 128 ? 1 : -EINVAL));
    }
    for (c = 1; c < 256; c++) { /* every byte, within a name */
        int refused = c == '/' || c == ':' || c == ' ' || (c >= 9 && c <= 13) || c == 0xa0;

        name[0] = 'x', name[1] = (char)c, name[2] = 'y', name[3] = '\0';
        CHECK(netstrat_check_name(name) == (refused ? -EINVAL : 0));
    }
    /* No byte behind a name that is too long is looked at. */
    memset(name, 'x', sizeof name);
    CHECK(netstrat_check_name(name) == -EINVAL);
}

/* ---- encoders ---- */

/* What an encoder must have written. */
static void expect(const struct netstrat_batch *batch, const struct bytes *wanted)
{
    CHECK(batch->count == 1);
    CHECK(batch->used == wanted->length);
    CHECK(memcmp(batch->data, wanted->data, wanted->length) == 0);
}

static int encode(int which, struct netstrat_batch *batch)
{
    switch (which) {
    case 0: return netstrat_put_link_flags(batch, "lo", IFF_UP, IFF_UP | IFF_PROMISC);
    case 1: return netstrat_put_link_flags(batch, "an-alternative-name", 0, IFF_UP);
    case 2: return netstrat_put_get_link(batch, "eth0");
    case 3: return netstrat_put_get_stats(batch, 0x01020304);
    case 4: return netstrat_put_dump_links(batch, 0);
    case 5: return netstrat_put_dump_links(batch, 1);
    default: return netstrat_put_dump_stats(batch);
    }
}

enum { ENCODERS = 7 };

static void put_request(int which, struct bytes *to)
{
    const uint32_t skip_stats = 8, all = 0;
    const uint32_t up[4] = {0, 0, IFF_UP, IFF_UP | IFF_PROMISC}, down[4] = {0, 0, 0, IFF_UP};
    const uint32_t nothing[4] = {0, 0, 0, 0};
    size_t at;

    switch (which) {
    case 0:
        at = begin(to, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0);
        put(to, up, sizeof up);
        attribute(to, IFLA_IFNAME, "lo", 3);
        break;
    case 1:
        at = begin(to, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0);
        put(to, down, sizeof down);
        attribute(to, 53 /* IFLA_ALT_IFNAME */, "an-alternative-name", 20);
        break;
    case 2:
        at = begin(to, RTM_GETLINK, NLM_F_REQUEST, 0, 0);
        put(to, nothing, sizeof nothing);
        attribute(to, IFLA_IFNAME, "eth0", 5);
        break;
    case 3:
        at = begin(to, GETSTATS, NLM_F_REQUEST, 0, 0);
        put_stats_header(to, 0x01020304);
        break;
    case 4:
    case 5:
        at = begin(to, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0, 0);
        put(to, nothing, sizeof nothing);
        attribute(to, IFLA_EXT_MASK, which == 4 ? &skip_stats : &all, 4);
        break;
    default:
        at = begin(to, GETSTATS, NLM_F_REQUEST | NLM_F_DUMP, 0, 0);
        put_stats_header(to, 0);
    }
    pad(to); /* encoders count the padding in */
    finish(to, at);
}

static void test_encoders(void)
{
    for (int which = 0; which < ENCODERS; which++) {
        unsigned char buffer[256], before[256];
        struct netstrat_batch batch;
        struct bytes wanted;
        size_t room;

        wanted.length = 0;
        put_request(which, &wanted);
        memset(buffer, 0xa5, sizeof buffer);
        memcpy(before, buffer, sizeof buffer);
        for (room = 0; room <= wanted.length + 8; room++) {
            int fits = room >= wanted.length;

            netstrat_batch_init(&batch, buffer, room);
            CHECK(encode(which, &batch) == (fits ? 0 : -EMSGSIZE));
            CHECK(memcmp(buffer + (fits ? wanted.length : 0), before + (fits ? wanted.length : 0),
                         sizeof buffer - (fits ? wanted.length : 0)) == 0);
            if (fits)
                expect(&batch, &wanted);
            else
                CHECK(batch.used == 0 && batch.count == 0);
            memcpy(buffer, before, sizeof buffer);
        }
        /* At an odd address too. */
        netstrat_batch_init(&batch, buffer + 1, sizeof buffer - 1);
        CHECK(encode(which, &batch) == 0);
        expect(&batch, &wanted);
    }
}

static void test_batches(void)
{
    unsigned char buffer[512], before[512];
    struct netstrat_batch batch;
    struct netstrat_message message;
    struct bytes wanted = {{0}, 0};
    size_t offset = 0;
    size_t used;
    int which, written;

    memset(buffer, 0xa5, sizeof buffer);
    netstrat_batch_init(&batch, buffer, sizeof buffer);
    for (which = 0; which < ENCODERS; which++) {
        CHECK(encode(which, &batch) == 0);
        CHECK(batch.count == (uint32_t)which + 1);
        put_request(which, &wanted);
    }
    CHECK(batch.used == wanted.length && memcmp(buffer, wanted.data, wanted.length) == 0);
    for (written = 0; netstrat_next_message(buffer, batch.used, &offset, &message) > 0; written++)
        CHECK(message.sequence == 0 && message.port == 0);
    CHECK(written == ENCODERS && offset == batch.used);

    /* A name that is refused, or a message that does not fit, leaves the batch as it was. */
    used = batch.used;
    memcpy(before, buffer, sizeof buffer);
    CHECK(netstrat_put_link_flags(&batch, "a/b", IFF_UP, IFF_UP) == -EINVAL);
    CHECK(netstrat_put_get_link(&batch, "") == -EINVAL);
    batch.size = batch.used + 20;
    CHECK(netstrat_put_get_stats(&batch, 1) == -EMSGSIZE);
    CHECK(batch.used == used && batch.count == ENCODERS);
    CHECK(memcmp(buffer, before, sizeof buffer) == 0);
}

/* ---- datagrams ---- */

static void test_next_message(void)
{
    struct bytes two = {{0}, 0};
    struct netstrat_message message;
    size_t offset, size, at;
    uint32_t length;

    at = begin(&two, 7, 8, 9, 10);
    put(&two, "abcde", 5); /* 21 bytes, 24 with their padding */
    finish(&two, at);
    at = begin(&two, 11, 12, 13, 14);
    put(&two, "fg", 2);
    finish(&two, at);

    offset = 0;
    CHECK(netstrat_next_message(two.data, two.length, &offset, &message) == 1);
    CHECK(message.type == 7 && message.flags == 8 && message.sequence == 9 && message.port == 10);
    CHECK(message.length == 5 && memcmp(message.payload, "abcde", 5) == 0 && offset == 24);
    CHECK(netstrat_next_message(two.data, two.length, &offset, &message) == 1);
    CHECK(message.type == 11 && message.length == 2 && offset == two.length);
    CHECK(netstrat_next_message(two.data, two.length, &offset, &message) == 0);

    for (size = 0; size <= two.length; size++) { /* cut at every length, in memory of that size */
        unsigned char *copy = (unsigned char *)malloc(size + !size);
        int code, count = 0;

        memcpy(copy, two.data, size);
        offset = 0;
        while ((code = netstrat_next_message(copy, size, &offset, &message)) > 0)
            count++;
        CHECK(count == (size >= 42) + (size >= 21)); /* the padding of the last may be missing */
        CHECK(code == (size == 0 || (size >= 21 && size <= 24) || size >= 42 ? 0 : -EBADMSG));
        free(copy);
    }
    for (length = 0; length < 70; length++) { /* every length that a header may claim */
        memcpy(two.data, &length, sizeof length);
        offset = 0;
        CHECK(netstrat_next_message(two.data, 24, &offset, &message) ==
              (length >= 16 && length <= 24 ? 1 : -EBADMSG));
    }
    length = UINT32_MAX;
    memcpy(two.data, &length, sizeof length);
    offset = 0;
    CHECK(netstrat_next_message(two.data, 24, &offset, &message) == -EBADMSG && offset == 0);
}

/* ---- decoders ---- */

enum decoder { ACK, LINK, LINK_COUNTERS, STATS };

/* Decodes the one message in `data`, from memory of exactly its size, at an address that is no
 * multiple of anything: a byte too far, or an aligned load, is the sanitizers' to see. Checks that
 * outputs are written on success only, and that nothing else than the documented codes comes. */
static int decode(enum decoder decoder, const unsigned char *data, size_t size)
{
    unsigned char *copy = (unsigned char *)malloc(size + 1);
    struct netstrat_message message;
    struct netstrat_error error, error_before;
    struct netstrat_link link, link_before;
    struct netstrat_counters counters, counters_before;
    int32_t index = 77;
    int verdict = 78;
    size_t offset = 0;
    int code;

    memset(&error, 0xa5, sizeof error);
    memset(&link, 0xa5, sizeof link);
    memset(&counters, 0xa5, sizeof counters);
    error_before = error;
    link_before = link;
    counters_before = counters;
    memcpy(copy + 1, data, size);
    code = netstrat_next_message(copy + 1, size, &offset, &message);
    if (code > 0) {
        code = decoder == ACK     ? netstrat_decode_ack(&message, &verdict, &error)
               : decoder == STATS ? netstrat_decode_stats(&message, &index, &counters)
                                  : netstrat_decode_link(&message, &link,
                                                         decoder == LINK ? NULL : &counters);
        CHECK(code == 0 || code == -EBADMSG || (code == -ENODATA && decoder != ACK));
        if (code < 0) {
            CHECK(verdict == 78 && index == 77);
            CHECK(memcmp(&error, &error_before, sizeof error) == 0);
            CHECK(memcmp(&link, &link_before, sizeof link) == 0);
            CHECK(memcmp(&counters, &counters_before, sizeof counters) == 0);
        } else if (decoder == ACK) {
            CHECK(verdict <= 0 && verdict >= -4095);
            CHECK(error.text_length < NETSTRAT_TEXT_SIZE);
            CHECK(error.text_length < NETSTRAT_TEXT_SIZE && strlen(error.text) == error.text_length);
            CHECK(error.code == error_before.code && error.operation == error_before.operation);
        } else if (decoder == STATS) {
            CHECK(index > 0);
        } else {
            CHECK(link.index > 0 && (link.gone == 0 || link.gone == 1));
            CHECK(link.name[0] != '\0' && memchr(link.name, 0, sizeof link.name) != NULL);
        }
    } else if (code == 0) {
        code = -EBADMSG; /* no message at all */
    }
    free(copy);
    return code;
}

/* Cut at every length, and with every byte changed in several ways: none may do harm. A message cut
 * short is malformed as long as its header says how long it should be. */
static void torment(enum decoder decoder, const struct bytes *good)
{
    static const unsigned char changes[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
    unsigned char bad[sizeof good->data];
    uint32_t random = 1;
    size_t size, i;

    CHECK(decode(decoder, good->data, good->length) == 0);
    for (size = 0; size + 3 < good->length; size++)
        CHECK(decode(decoder, good->data, size) == -EBADMSG);
    for (size = 16; size < good->length; size++) { /* and where the header agrees */
        uint32_t length = (uint32_t)size;

        memcpy(bad, good->data, size);
        memcpy(bad, &length, sizeof length);
        (void)decode(decoder, bad, size);
    }
    for (i = 0; i < good->length; i++)
        for (size = 0; size < sizeof changes; size++) {
            memcpy(bad, good->data, good->length);
            bad[i] ^= changes[size];
            (void)decode(decoder, bad, good->length);
        }
    for (i = 0; i < 5000; i++) { /* several bytes at once, the same ones in every run */
        memcpy(bad, good->data, good->length);
        for (size = 0; size < 4; size++) {
            random = random * 1664525 + 1013904223;
            bad[(random >> 8) % good->length] = (unsigned char)(random >> 24);
        }
        (void)decode(decoder, bad, good->length);
    }
}

static int read_ack(const struct bytes *bytes, int *code, struct netstrat_error *error)
{
    struct netstrat_message message;
    size_t offset = 0;

    if (netstrat_next_message(bytes->data, bytes->length, &offset, &message) <= 0)
        return -1;
    return netstrat_decode_ack(&message, code, error);
}

static void test_acks(void)
{
    static const char words[] = "the kernel's own words";
    struct bytes request = {{0}, 0}, ack;
    struct netstrat_error error;
    char many[300];
    int32_t value;
    uint32_t length;
    size_t at, i;
    int code = 1;

    put_request(0, &request);

    /* The request echoed whole, its header alone, or capped; with words and without. */
    ack.length = 0;
    put_ack(&ack, 0, 1, 2, 0, request.data, request.length, NULL);
    CHECK(read_ack(&ack, &code, &error) == 0 && code == 0 && error.text_length == 0);
    CHECK(read_ack(&ack, &code, NULL) == 0);
    torment(ACK, &ack);

    ack.length = 0;
    put_ack(&ack, ACK_TLVS, 1, 2, -EPERM, request.data, request.length, words);
    CHECK(read_ack(&ack, &code, &error) == 0 && code == -EPERM && !strcmp(error.text, words));
    CHECK(error.text_length == sizeof words - 1);
    CHECK(read_ack(&ack, &code, NULL) == 0 && code == -EPERM);
    torment(ACK, &ack);

    ack.length = 0;
    put_ack(&ack, ACK_TLVS | CAPPED, 1, 2, -ENODEV, request.data, 16, words);
    CHECK(read_ack(&ack, &code, &error) == 0 && code == -ENODEV && !strcmp(error.text, words));
    torment(ACK, &ack);

    ack.length = 0; /* attributes there, but not announced */
    put_ack(&ack, CAPPED, 1, 2, -ENODEV, request.data, 16, words);
    CHECK(read_ack(&ack, &code, &error) == 0 && error.text_length == 0);

    ack.length = 0; /* announced, but the echo leaves no room for them */
    put_ack(&ack, ACK_TLVS, 1, 2, -ENODEV, request.data, request.length, NULL);
    CHECK(read_ack(&ack, &code, &error) == 0 && error.text_length == 0);

    /* An echo whose length is a lie: the errno stands, the words are given up. */
    for (i = 0; i < 3; i++) {
        length = i == 0 ? 15 : i == 1 ? 4096 : UINT32_MAX;
        ack.length = 0;
        put_ack(&ack, ACK_TLVS, 1, 2, -EBUSY, request.data, request.length, words);
        memcpy(ack.data + 20, &length, sizeof length);
        CHECK(read_ack(&ack, &code, &error) == 0 && code == -EBUSY && error.text_length == 0);
    }

    /* Words behind another attribute; words without their NUL; too many words; none. */
    ack.length = 0;
    at = begin(&ack, NLMSG_ERROR, ACK_TLVS | CAPPED, 1, 2);
    value = -EINVAL;
    put(&ack, &value, sizeof value);
    put(&ack, request.data, 16);
    attribute(&ack, 2 /* NLMSGERR_ATTR_OFFS */, &value, sizeof value);
    attribute(&ack, 1, "bare", 4);
    finish(&ack, at);
    CHECK(read_ack(&ack, &code, &error) == 0 && !strcmp(error.text, "bare"));
    torment(ACK, &ack);

    memset(many, 'w', sizeof many);
    many[sizeof many - 1] = '\0';
    ack.length = 0;
    put_ack(&ack, ACK_TLVS | CAPPED, 1, 2, -EINVAL, request.data, 16, many);
    CHECK(read_ack(&ack, &code, &error) == 0 && error.text_length == NETSTRAT_TEXT_SIZE - 1);
    CHECK(error.text[NETSTRAT_TEXT_SIZE - 1] == '\0');
    ack.length = 0;
    put_ack(&ack, ACK_TLVS | CAPPED, 1, 2, -EINVAL, request.data, 16, "");
    CHECK(read_ack(&ack, &code, &error) == 0 && error.text_length == 0);

    /* DONE carries the errno and the attributes alone. */
    ack.length = 0;
    at = begin(&ack, NLMSG_DONE, NLM_F_MULTI | ACK_TLVS, 1, 2);
    value = -ENOMEM;
    put(&ack, &value, sizeof value);
    attribute(&ack, 1, words, sizeof words);
    finish(&ack, at);
    CHECK(read_ack(&ack, &code, &error) == 0 && code == -ENOMEM && !strcmp(error.text, words));
    torment(ACK, &ack);

    /* What is no errno. */
    for (i = 0; i < 4; i++) {
        value = i == 0 ? 1 : i == 1 ? INT32_MAX : i == 2 ? -4096 : INT32_MIN;
        code = 78;
        ack.length = 0;
        put_ack(&ack, 0, 1, 2, value, request.data, request.length, NULL);
        CHECK(read_ack(&ack, &code, &error) == -EBADMSG && code == 78);
    }
    ack.length = 0;
    put_ack(&ack, 0, 1, 2, -4095, request.data, 16, NULL);
    CHECK(read_ack(&ack, &code, &error) == 0 && code == -4095);
    for (i = 0; i < 16; i++) { /* the echoed header cut */
        ack.length = 0;
        put_ack(&ack, 0, 1, 2, -1, request.data, i, NULL);
        CHECK(read_ack(&ack, &code, &error) == -EBADMSG);
    }
}

/* A link as the kernel tells of it: attributes before, between and behind the two that matter. */
static void put_link(struct bytes *to, uint16_t type, int32_t index, const char *name,
                     size_t name_size, size_t stats_size)
{
    const uint32_t mtu = 65536;
    size_t at = begin(to, type, 0, 1, 2);

    put_info(to, index, IFF_UP | IFF_LOOPBACK);
    attribute(to, IFLA_TXQLEN, &mtu, sizeof mtu);
    if (name)
        attribute(to, IFLA_IFNAME, name, name_size);
    attribute(to, IFLA_MTU, &mtu, sizeof mtu);
    if (stats_size)
        put_stats64(to, IFLA_STATS64, stats_size, 100);
    attribute(to, IFLA_OPERSTATE, "\0", 1);
    finish(to, at);
}

static int read_link(const struct bytes *bytes, struct netstrat_link *link,
                     struct netstrat_counters *counters)
{
    struct netstrat_message message;
    size_t offset = 0;

    if (netstrat_next_message(bytes->data, bytes->length, &offset, &message) <= 0)
        return -1;
    return netstrat_decode_link(&message, link, counters);
}

/* Field n of struct rtnl_link_stats64 holds base + n + 1: the eight in the right places? */
static int counters_are(const struct netstrat_counters *counters, uint64_t base)
{
    return counters->rx_packets == base + 1 && counters->tx_packets == base + 2 &&
           counters->rx_bytes == base + 3 && counters->tx_bytes == base + 4 &&
           counters->rx_errors == base + 5 && counters->tx_errors == base + 6 &&
           counters->rx_dropped == base + 7 && counters->tx_dropped == base + 8;
}

static void test_links(void)
{
    static const size_t sizes[] = {64, 184, 192, 200};
    struct bytes link_bytes;
    struct netstrat_link link;
    struct netstrat_counters counters;
    uint64_t none[9] = {0};
    size_t at, i;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        link_bytes.length = 0;
        put_link(&link_bytes, RTM_NEWLINK, 3, "eth0", 5, sizes[i]);
        CHECK(read_link(&link_bytes, &link, &counters) == 0);
        CHECK(link.index == 3 && link.flags == (IFF_UP | IFF_LOOPBACK) && link.gone == 0);
        CHECK(!strcmp(link.name, "eth0") && counters_are(&counters, 100));
        torment(LINK, &link_bytes);
        torment(LINK_COUNTERS, &link_bytes);
    }
    for (i = 1; i < 64; i++) { /* too few bytes for the eight */
        link_bytes.length = 0;
        put_link(&link_bytes, RTM_NEWLINK, 3, "eth0", 5, i);
        CHECK(read_link(&link_bytes, &link, &counters) == -EBADMSG);
        CHECK(read_link(&link_bytes, &link, NULL) == 0);
    }
    link_bytes.length = 0;
    put_link(&link_bytes, RTM_DELLINK, INT32_MAX, "123456789012345", 16, 0);
    CHECK(read_link(&link_bytes, &link, &counters) == -ENODATA);
    CHECK(read_link(&link_bytes, &link, NULL) == 0 && link.gone == 1 && link.index == INT32_MAX);
    CHECK(!strcmp(link.name, "123456789012345"));
    torment(LINK, &link_bytes);

    /* A bridge that lets go of a port says so with RTM_DELLINK of its own family. */
    link_bytes.length = 0;
    put_link(&link_bytes, RTM_DELLINK, 3, "eth0", 5, 0);
    link_bytes.data[16] = 7; /* AF_BRIDGE */
    CHECK(read_link(&link_bytes, &link, NULL) == 0 && link.gone == 0);

    /* No index; no name; one without its NUL, an empty one, one too long. */
    for (i = 0; i < 7; i++) {
        link_bytes.length = 0;
        put_link(&link_bytes, RTM_NEWLINK, i == 0 ? 0 : i == 1 ? -1 : 3,
                 i == 2 ? NULL : i == 5 ? "" : "1234567890123456",
                 i == 3 ? 15 : i == 4 ? 17 : i == 5 ? 1 : i == 6 ? 0 : 4, 64);
        CHECK(read_link(&link_bytes, &link, &counters) == -EBADMSG);
    }
    /* The flags in an attribute's type are no part of it. */
    link_bytes.length = 0;
    at = begin(&link_bytes, RTM_NEWLINK, 0, 1, 2);
    put_info(&link_bytes, 3, 0);
    attribute(&link_bytes, IFLA_IFNAME | 0x8000, "eth0", 5);
    put_stats64(&link_bytes, IFLA_STATS64 | 0x4000, 200, 7);
    finish(&link_bytes, at);
    CHECK(read_link(&link_bytes, &link, &counters) == 0 && counters_are(&counters, 7));
    /* The old 32-bit counters are no stand-in. */
    link_bytes.length = 0;
    at = begin(&link_bytes, RTM_NEWLINK, 0, 1, 2);
    put_info(&link_bytes, 3, 0);
    attribute(&link_bytes, IFLA_IFNAME, "eth0", 5);
    attribute(&link_bytes, IFLA_STATS, none, sizeof none);
    finish(&link_bytes, at);
    CHECK(read_link(&link_bytes, &link, &counters) == -ENODATA);
    /* A malformed attribute between the name and the counters. */
    link_bytes.length = 0;
    at = begin(&link_bytes, RTM_NEWLINK, 0, 1, 2);
    put_info(&link_bytes, 3, 0);
    attribute(&link_bytes, IFLA_IFNAME, "eth0", 5);
    put(&link_bytes, "\xff\xff\x01", 4);
    finish(&link_bytes, at);
    CHECK(read_link(&link_bytes, &link, &counters) == -EBADMSG);
    CHECK(read_link(&link_bytes, &link, NULL) == 0);
}

static void test_stats(void)
{
    static const size_t sizes[] = {64, 184, 192, 200};
    struct netstrat_message message;
    struct netstrat_counters counters;
    struct bytes stats;
    int32_t index = 0;
    size_t offset, at, i;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        stats.length = 0;
        at = begin(&stats, NEWSTATS, 0, 1, 2);
        put_stats_header(&stats, 5);
        attribute(&stats, 2 /* IFLA_STATS_LINK_XSTATS */, "x", 1);
        put_stats64(&stats, 1 /* IFLA_STATS_LINK_64 */, sizes[i], UINT64_MAX - 40);
        finish(&stats, at);
        offset = 0;
        CHECK(netstrat_next_message(stats.data, stats.length, &offset, &message) == 1);
        CHECK(netstrat_decode_stats(&message, &index, &counters) == 0 && index == 5);
        CHECK(counters_are(&counters, UINT64_MAX - 40));
        torment(STATS, &stats);
    }
    for (i = 0; i < 3; i++) { /* indexes that are none */
        static const uint32_t none[] = {0, 0x80000000U, UINT32_MAX};

        memcpy(stats.data + 20, &none[i], sizeof none[i]);
        CHECK(decode(STATS, stats.data, stats.length) == -EBADMSG);
    }
    for (i = 0; i < 64; i++) {
        stats.length = 0;
        at = begin(&stats, NEWSTATS, 0, 1, 2);
        put_stats_header(&stats, 5);
        put_stats64(&stats, 1, i, 0);
        finish(&stats, at);
        CHECK(decode(STATS, stats.data, stats.length) == -EBADMSG);
    }
    stats.length = 0;
    at = begin(&stats, NEWSTATS, 0, 1, 2);
    put_stats_header(&stats, 5);
    finish(&stats, at);
    CHECK(decode(STATS, stats.data, stats.length) == -ENODATA);
}

/* ---- what the files share ---- */

static void test_errors(void)
{
    struct netstrat_error error;

    CHECK(netstrat_fail(NULL, -EIO, "send") == -EIO);
    memset(&error, 0xa5, sizeof error);
    CHECK(netstrat_fail(&error, -EIO, "send") == -EIO);
    CHECK(error.code == -EIO && error.item == 0 && !strcmp(error.operation, "send"));
    CHECK(error.text_length == 0 && error.text[0] == '\0');
    netstrat_set_text(NULL, "x", 1);
    netstrat_set_text(&error, "a\0b", 3);
    CHECK(error.text_length == 3 && !memcmp(error.text, "a\0b", 4));
}

int main(void)
{
    test_names();
    test_encoders();
    test_batches();
    test_next_message();
    test_acks();
    test_links();
    test_stats();
    test_errors();
    return report();
}
