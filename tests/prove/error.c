/* SPDX-License-Identifier: MIT */
#include "prove.h"

int main(void)
{
    struct netstrat_failure failure;
    struct netstrat_error error;
    char sentence[600];
    size_t size = any_size(sizeof sentence);

    (void)netstrat_failure_find((uint32_t)any_int(), (uint32_t)any_int(), any_int(), &failure);
    (void)netstrat_failure_get((uint32_t)any_int(), &failure);
    (void)netstrat_operation_name((uint32_t)any_int());
    (void)netstrat_request_name((uint32_t)any_int());
    ANY(error);
    error.code = Frama_C_interval(-4095, 0);
    error.text_length = (uint32_t)Frama_C_interval(0, NETSTRAT_TEXT_SIZE - 1);
    (void)netstrat_error_describe(&error, any_text(), sentence, sizeof sentence);
    (void)netstrat_error_describe(&error, NULL, sentence, size);
    return 0;
}
