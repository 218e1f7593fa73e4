/* SPDX-License-Identifier: MIT */
/* Settings under /proc/sys: set and read in this namespace and in another one. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../csrc/netstrat.h"
#include "check.h"
#include "failed.h"
#include "sandbox.h"

static struct netstrat_error error;

static void enter(void)
{
    enter_sandbox(0);
}

const struct fixture fixture = {.before_all = enter};

static const char accept_redirects[] = "net/ipv4/conf/lo/accept_redirects";
static const char tag[] = "net/ipv4/conf/lo/tag";

/* Reads one setting in the namespace `netns`, or in the caller's if that is -1. */
static const char *text_of(const char *path, int netns)
{
    static struct netstrat_sysctl sysctl;
    int code;

    memset(&sysctl, 0, sizeof sysctl);
    sysctl.path = path;
    code = netns < 0 ? netstrat_sysctls_exchange(&sysctl, 1, &error)
                     : netstrat_sysctls_exchange_at(netns, &sysctl, 1, &error);
    CHECK(code == 0);
    return sysctl.text;
}

static struct netstrat_sysctl setting(const char *path, const char *value)
{
    struct netstrat_sysctl sysctl;

    memset(&sysctl, 0, sizeof sysctl);
    sysctl.path = path;
    sysctl.value = value;
    return sysctl;
}

TEST(a_setting_is_set_and_read_without_its_newline)
{
    struct netstrat_sysctl sysctl = setting(tag, "77");

    CHECK(netstrat_sysctls_exchange(&sysctl, 1, &error) == 0);
    CHECK(strcmp(text_of(tag, -1), "77") == 0);
    CHECK(netstrat_sysctls_exchange(NULL, 0, &error) == 0);
}

TEST(a_setting_of_another_namespace_is_its_own)
{
    struct netstrat_sysctl sysctls[] = {setting(tag, "78"), setting(accept_redirects, "0")};
    int netns = netstrat_netns_create(&error);

    CHECK(netns >= 0);
    CHECK(netstrat_sysctls_exchange_at(netns, sysctls, 2, &error) == 0);
    CHECK(strcmp(text_of(tag, netns), "78") == 0);
    CHECK(strcmp(text_of(accept_redirects, netns), "0") == 0);
    CHECK(strcmp(text_of(tag, -1), "78") != 0);
    close(netns);
    FAILS(netstrat_sysctls_exchange_at(netns, sysctls, 2, &error), -EBADF, NETSTRAT_OP_SETNS);
}

TEST(the_settings_before_a_failure_stay_and_the_item_names_it)
{
    static const struct {
        const char *path, *value;
        int code;
        enum netstrat_operation operation;
    } rows[] = {
        {"net/ipv4/conf/lo/nonesuch", "1", -ENOENT, NETSTRAT_OP_OPEN_SYSCTL},
        {"net/ipv4/conf/nonesuch/tag", "1", -ENOENT, NETSTRAT_OP_OPEN_SYSCTL},
        {"net/ipv4/conf/lo", "1", -EISDIR, NETSTRAT_OP_OPEN_SYSCTL},
        {tag, "x", -EINVAL, NETSTRAT_OP_WRITE_SYSCTL},
        {tag, "1 2", -EINVAL, NETSTRAT_OP_WRITE_SYSCTL}, /* the kernel takes the 1 */
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct netstrat_sysctl sysctls[] = {
            setting(accept_redirects, i % 2 ? "1" : "0"),
            setting(rows[i].path, rows[i].value),
            setting(tag, "99"),
        };

        FAILS(netstrat_sysctls_exchange(sysctls, 3, &error), rows[i].code, rows[i].operation);
        CHECK(error.item == 1);
        CHECK(strcmp(text_of(accept_redirects, -1), i % 2 ? "1" : "0") == 0);
        CHECK(strcmp(text_of(tag, -1), "99") != 0);
    }
}

TEST(a_path_stays_beneath_proc_sys)
{
    static const char *const paths[] = {
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "../self/comm",
        "net/../kernel/ostype",
        "./kernel/ostype",
        "kernel/./ostype",
        "kernel//ostype",
        "kernel/ostype/",
        "kernel/..",
    };
    char longest[256] = "";
    struct netstrat_sysctl sysctl;

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        sysctl = setting(paths[i], NULL);
        FAILS(netstrat_sysctls_exchange(&sysctl, 1, &error), -EINVAL, NETSTRAT_OP_OPEN_SYSCTL);
    }
    CHECK(strcmp(text_of("kernel/ostype", -1), "Linux") == 0);
    for (size_t length = 1; length < sizeof longest; length++) {
        memset(longest, 'x', length);
        sysctl = setting(longest, NULL);
        FAILS(netstrat_sysctls_exchange(&sysctl, 1, &error), length < 150 ? -ENOENT : -EINVAL,
              NETSTRAT_OP_OPEN_SYSCTL);
    }
}

TEST(a_text_that_does_not_fit_is_an_error)
{
    static const char path[] = "net/ipv4/ip_local_reserved_ports";
    char ports[256] = "";
    struct netstrat_sysctl sysctl;

    for (int number = 0; number < 40; number++) {
        size_t length = strlen(ports);

        snprintf(ports + length, sizeof ports - length, "%s%d", number ? "," : "",
                 101 + 2 * number); /* ranges would be shortened */
        sysctl = setting(path, ports);
        CHECK(netstrat_sysctls_exchange(&sysctl, 1, &error) == 0);
        sysctl = setting(path, NULL);
        if (strlen(ports) + 1 < NETSTRAT_SYSCTL_SIZE) {
            CHECK(netstrat_sysctls_exchange(&sysctl, 1, &error) == 0);
            CHECK(strcmp(sysctl.text, ports) == 0);
        } else {
            FAILS(netstrat_sysctls_exchange(&sysctl, 1, &error), -EMSGSIZE,
                  NETSTRAT_OP_READ_SYSCTL);
            CHECK(sysctl.text[0] == '\0');
        }
    }
}
