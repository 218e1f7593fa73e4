/* SPDX-License-Identifier: MIT */
/*
 * The input is a datagram, and each of its messages is given to every decoder. The first two bytes
 * (little endian) are the number of truncated bytes.
 *
 * Checked: cursors shrink and stay within the datagram; outputs are in range; a failure does not
 * write them.
 */
#include "fuzz.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* Calls a decoder with one output, and checks a condition of the output. */
#define DECODE(decode, message, output)                                                            \
    (memset(&(output), UNTOUCHED, sizeof(output)),                                                 \
     check_code(decode(message, &(output)), message, &(output), sizeof(output)))

static int check_code(int code, const struct netstrat_message *message, const void *output,
                      size_t size)
{
    HOLDS(code == 0 || code == -EBADMSG || code == -EAFNOSUPPORT);
    HOLDS(code == 0 || is_untouched(output, size));
    HOLDS(code < 0 || message->payload.missing == 0);
    return code;
}

static int is_text(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

/* Compares the getters of an attribute with its bytes. */
static void read_value(const struct netstrat_attribute *attribute)
{
    const struct netstrat_cursor *value = &attribute->value;
    const size_t size = value->end - value->at;
    const unsigned char *bytes = value->data + value->at;
    unsigned char *copy = (unsigned char *)malloc(size + 1);
    char text[16];
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    uint8_t u8;

    HOLDS(copy);
    HOLDS(netstrat_attribute_u8(attribute, &u8) == (size < 1 ? -EBADMSG : 0));
    HOLDS(size < 1 || u8 == bytes[0]);
    HOLDS(netstrat_attribute_u16(attribute, &u16) == (size < 2 ? -EBADMSG : 0));
    HOLDS(size < 2 || memcmp(&u16, bytes, 2) == 0);
    HOLDS(netstrat_attribute_u32(attribute, &u32) == (size < 4 ? -EBADMSG : 0));
    HOLDS(size < 4 || memcmp(&u32, bytes, 4) == 0);
    HOLDS(netstrat_attribute_u64(attribute, &u64) == (size < 8 ? -EBADMSG : 0));
    HOLDS(size < 8 || memcmp(&u64, bytes, 8) == 0);
    HOLDS(netstrat_attribute_bytes(attribute, copy, size) == 0 && memcmp(copy, bytes, size) == 0);
    HOLDS(netstrat_attribute_bytes(attribute, copy, size + 1) == -EBADMSG);
    HOLDS(netstrat_attribute_bytes(attribute, copy, SIZE_MAX) == -EBADMSG);
    memset(text, UNTOUCHED, sizeof text);
    if (netstrat_attribute_string(attribute, text, sizeof text) < 0)
        HOLDS(is_untouched(text, sizeof text));
    else
        HOLDS(text[0] != '\0' && strlen(text) < size && memcmp(text, bytes, strlen(text)) == 0);
    free(copy);
}

static void read_body(const struct netstrat_message *message)
{
    const struct netstrat_cursor *payload = &message->payload;
    struct netstrat_cursor attributes;
    unsigned char fixed[16];
    size_t size = payload->end - payload->at;
    int result = netstrat_message_body(message, fixed, sizeof fixed, &attributes);

    HOLDS(netstrat_message_body(message, fixed, SIZE_MAX, &attributes) == -EBADMSG);
    HOLDS(result == (size < sizeof fixed ? -EBADMSG : 0));
    if (result == 0)
        HOLDS(attributes.at == payload->at + sizeof fixed && attributes.end == payload->end &&
              memcmp(fixed, payload->data + payload->at, sizeof fixed) == 0);
}

static void walk_attributes(struct netstrat_cursor rest)
{
    struct netstrat_attribute attribute, before;
    int result;

    memset(&attribute, UNTOUCHED, sizeof attribute);
    for (;;) {
        size_t at = rest.at, end = rest.end;

        before = attribute;
        result = netstrat_attribute_next(&rest, &attribute);
        if (result <= 0) {
            HOLDS(rest.at == at && rest.end == end);
            break;
        }
        HOLDS(result == 1 && rest.at >= at + 4 && rest.at <= end && rest.end == end);
        HOLDS(attribute.value.at == at + 4 && attribute.value.end >= at + 4 &&
              attribute.value.end <= end);
        HOLDS(attribute.type < 0x4000 && attribute.value.missing == 0);
        read_value(&attribute);
    }
    HOLDS(memcmp(&before, &attribute, sizeof attribute) == 0);
    HOLDS(result == 0 ? rest.at == rest.end : result == -EBADMSG);
}

static void decode_ack(const struct netstrat_message *message)
{
    struct netstrat_error error;
    int verdict, same, result;

    memset(&error, UNTOUCHED, sizeof error);
    memset(&verdict, UNTOUCHED, sizeof verdict);
    result = netstrat_ack_decode(message, &verdict, &error);
    if (result < 0) {
        HOLDS(result == -EBADMSG);
        HOLDS(is_untouched(&verdict, sizeof verdict) && is_untouched(&error, sizeof error));
    } else {
        HOLDS(result == 0 && verdict <= 0 && verdict >= -4095);
        HOLDS(error.text_length < NETSTRAT_TEXT_SIZE && error.text[error.text_length] == '\0');
        HOLDS(strlen(error.text) == error.text_length);
        HOLDS(is_untouched(&error, offsetof(struct netstrat_error, text_length)));
    }
    HOLDS(netstrat_ack_decode(message, &same, NULL) == result); /* `error` may be NULL */
    HOLDS(result < 0 || same == verdict);
}

static void decode_link(const struct netstrat_message *message)
{
    struct netstrat_link_name name;
    struct netstrat_link link;
    struct netstrat_cursor altnames;
    char altname[NETSTRAT_ALT_NAME_SIZE];
    uint32_t flags;
    int32_t index;
    int whole, named, flagged;

    memset(&index, UNTOUCHED, sizeof index);
    memset(&flags, UNTOUCHED, sizeof flags);
    flagged = netstrat_link_flags_decode(message, &index, &flags);
    HOLDS(flagged == 0 || (flagged == -EBADMSG && is_untouched(&index, sizeof index) &&
                           is_untouched(&flags, sizeof flags)));
    named = DECODE(netstrat_link_name_decode, message, name);
    whole = DECODE(netstrat_link_decode, message, link);
    HOLDS(flagged == 0 || named < 0);
    HOLDS(named == 0 || whole < 0); /* a complete link has a name */
    if (named == 0) {
        HOLDS(name.index == index && index > 0 && is_text(name.name, sizeof name.name));
        /* The first byte is the family: a bridge uses its own for a port that leaves it
         * only. */
        HOLDS((name.name[0] == '\0') ==
              (message->type == RTM_DELLINK && message->payload.data[message->payload.at] == 0));
    }
    if (whole < 0)
        return;
    HOLDS(link.index == index && link.flags == flags && link.name[0] != '\0');
    HOLDS(is_text(link.name, sizeof link.name) && is_text(link.kind, sizeof link.kind));
    HOLDS(is_text(link.alias, sizeof link.alias) && link.mac_length <= sizeof link.mac);
    HOLDS(link.hairpin >= -1 && link.hairpin <= 1 && link.isolated >= -1 && link.isolated <= 1);
    HOLDS(link.learning >= -1 && link.learning <= 1);
    HOLDS(link.port_state >= -1 && link.port_state <= 255);
    altnames = link.altnames;
    HOLDS(!altnames.data || (altnames.at >= message->payload.at && altnames.at <= altnames.end &&
                             altnames.end <= message->payload.end));
    HOLDS(!link.parent_device.data || link.parent_device.end <= message->payload.end);
    HOLDS(!link.parent_bus.data || link.parent_bus.end <= message->payload.end);
    while (netstrat_altname_next(&altnames, altname))
        HOLDS(altname[0] != '\0' && is_text(altname, sizeof altname));
}

static void decode_counters(const struct netstrat_message *message)
{
    struct netstrat_counters counters;
    int32_t index;
    int result;

    memset(&counters, UNTOUCHED, sizeof counters);
    memset(&index, UNTOUCHED, sizeof index);
    result = netstrat_counters_decode(message, &index, &counters);
    if (result < 0) {
        HOLDS(result == -EBADMSG || result == -ENODATA);
        HOLDS(is_untouched(&counters, sizeof counters) && is_untouched(&index, sizeof index));
    } else {
        HOLDS(index > 0 && message->payload.missing == 0);
    }
}

static void decode_end(const struct netstrat_message *message)
{
    int32_t both;

    for (both = 0; both < 4; both++) {
        const int32_t nsid = both % 2 - 1, own = both / 2 - 1;
        struct netstrat_netns_link end;
        struct netstrat_link link;
        int code;

        memset(&end, UNTOUCHED, sizeof end);
        code = netstrat_netns_link_decode(message, nsid, own, &end);
        HOLDS(code == 1 || code == 0 || code == -EBADMSG);
        HOLDS(code == 1 || is_untouched(&end, sizeof end));
        if (code < 0)
            continue;
        HOLDS(netstrat_link_decode(message, &link) == 0 && link.nsid == nsid);
        HOLDS(code == !(link.flags & 8)); /* IFF_LOOPBACK */
        if (code == 0)
            continue;
        HOLDS(end.index == link.index && strcmp(end.name, link.name) == 0);
        HOLDS(end.peer == 0 || (own == 0 && end.peer == link.peer && link.peer_nsid == 0));
        HOLDS(end.peer_nsid == -1 ? end.peer_index == 0
                                  : end.peer_index == link.peer && end.peer_nsid == link.peer_nsid);
        HOLDS(end.master == link.master && (end.is_bridge == 0 || end.is_bridge == 1));
    }
}

/* The payload of a route becomes that of a request in place: in memory of exactly its size. */
static void copy_route(const struct netstrat_message *message)
{
    const size_t size = message->payload.end - message->payload.at;
    unsigned char *payload = (unsigned char *)malloc(size + 1);
    struct netstrat_route route, again;
    int flags;

    HOLDS(payload);
    memcpy(payload, message->payload.data + message->payload.at, size);
    flags = netstrat_route_to_request(payload, size, &route);
    HOLDS(flags > 0 || flags == -EBADMSG || flags == -EAFNOSUPPORT || flags == -ENODATA);
    if (flags > 0) /* a second time changes nothing */
        HOLDS(netstrat_route_to_request(payload, size, &again) == flags);
    free(payload);
}

static void decode_others(const struct netstrat_message *message)
{
    struct netstrat_address address;
    struct netstrat_route route;
    int32_t nsid;

    if (DECODE(netstrat_address_decode, message, address) == 0) {
        HOLDS(address.index > 0 && address.local.length <= 128 && address.peer.length <= 128);
        HOLDS(address.local.family != 0 && is_text(address.label, sizeof address.label));
    }
    if (DECODE(netstrat_route_decode, message, route) == 0)
        HOLDS(route.destination.family != 0 && route.destination.length <= 128 &&
              route.gateway.length <= 128);
    copy_route(message);
    (void)DECODE(netstrat_nsid_decode, message, nsid);
}

static void decode_qdisc(const struct netstrat_message *message)
{
    struct netstrat_filter filter;
    struct netstrat_qdisc qdisc;

    if (DECODE(netstrat_qdisc_decode, message, qdisc) == 0) {
        HOLDS(qdisc.index > 0 && is_text(qdisc.kind, sizeof qdisc.kind));
        HOLDS(qdisc.burst == 0 && qdisc.ecn <= NETSTRAT_QDISC_ECN_OFF);
    }
    if (DECODE(netstrat_filter_decode, message, filter) == 0)
        HOLDS(filter.index > 0 && filter.target >= 0 && filter.everything <= filter.selects);
}

/* The elements of a message about a set, as those of each set. */
static void decode_nft(const struct netstrat_message *message)
{
    struct netstrat_nft_element element;
    struct netstrat_nft_chain chain;
    struct netstrat_cursor elements, rest;
    uint32_t generation, flags, set;

    if (DECODE(netstrat_nft_generation_decode, message, generation) == 0)
        HOLDS(generation != 0);
    (void)DECODE(netstrat_nft_table_decode, message, flags);
    if (DECODE(netstrat_nft_chain_decode, message, chain) == 0) {
        HOLDS(is_text(chain.table, sizeof chain.table) && is_text(chain.name, sizeof chain.name));
        HOLDS((netstrat_nft_chain_differs(&chain) | 1) == 1);
    }
    memset(&chain, UNTOUCHED, sizeof chain);
    if (netstrat_nft_rule_decode(message, "eth0", &chain) < 0)
        HOLDS(is_untouched(&chain, sizeof chain));
    else
        HOLDS(is_text(chain.table, sizeof chain.table) && is_text(chain.name, sizeof chain.name));
    if (DECODE(netstrat_nft_elements_decode, message, elements) < 0)
        return;
    for (set = 0; set <= NETSTRAT_NFT_SETS; set++) {
        const uint8_t bits = set & 1 ? 128 : 32;

        rest = elements;
        memset(&element, UNTOUCHED, sizeof element);
        while (netstrat_nft_element_next(&rest, set, &element) > 0) {
            HOLDS(rest.at <= rest.end && rest.end == elements.end);
            HOLDS(is_text(element.owner, sizeof element.owner));
            HOLDS(element.address.length <= bits && element.target.length <= bits);
            HOLDS(set < NETSTRAT_NFT_PORTS4 || element.target.family != 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct netstrat_message message, before;
    struct netstrat_cursor rest;
    size_t missing;
    int cut = 0, result;

    if (size < 2)
        return 0;
    missing = data[0] | (size_t)data[1] << 8;
    rest.data = data + 2;
    rest.at = 0;
    rest.end = size - 2;
    rest.missing = missing;
    memset(&message, UNTOUCHED, sizeof message);
    for (;;) {
        size_t at = rest.at;

        before = message;
        result = netstrat_message_next(&rest, &message);
        if (result <= 0) {
            HOLDS(rest.at == at);
            break;
        }
        HOLDS(result == 1 && !cut && rest.at >= at + 16 && rest.at <= rest.end &&
              rest.end == size - 2);
        HOLDS(message.payload.at == at + 16 && message.payload.end >= at + 16 &&
              message.payload.end <= rest.at);
        HOLDS(rest.at < message.payload.end + 4);
        HOLDS(message.payload.missing <= missing && rest.missing == missing);
        cut = message.payload.missing > 0; /* only the last message can be truncated */
        HOLDS(!cut || rest.at == rest.end);
        walk_attributes(message.payload);
        read_body(&message);
        decode_ack(&message);
        decode_link(&message);
        decode_end(&message);
        decode_counters(&message);
        decode_others(&message);
        decode_qdisc(&message);
        decode_nft(&message);
    }
    HOLDS(memcmp(&before, &message, sizeof message) == 0);
    HOLDS(result == 0 ? rest.at == rest.end || (missing > 0 && rest.end - rest.at < 16)
                      : result == -EBADMSG);
    return 0;
}
