#include "vgg11/base/build_id.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"

/* The program's own file, whole. */
static char *read_program(size_t *bytes)
{
    enum { MOST = 64 << 20 };
    char *program = malloc(MOST);
    FILE *file = fopen("/proc/self/exe", "rb");
    ck_assert(program && file);
    *bytes = fread(program, 1, MOST, file);
    fclose(file);
    return program;
}

START_TEST(it_is_what_the_linker_wrote)
{
    char text[BUILD_ID_MAX], note[16 + BUILD_ID_MAX / 2];
    build_id(text);
    unsigned length = (unsigned)strlen(text), digest = length / 2, header[3] = {4, digest, 3};
    ck_assert_uint_ge(digest, 8);
    memcpy(note, header, sizeof header);
    memcpy(note + 12, "GNU", 4);
    for (unsigned i = 0; i < digest; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'}, *end;
        note[16 + i] = (char)strtoul(digits, &end, 16);
        ck_assert_ptr_eq(end, digits + 2);
    }
    size_t bytes;
    char *program = read_program(&bytes);
    ck_assert_msg(memmem(program, bytes, note, 16 + digest) != NULL, "%s is not in the file", text);
    free(program);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("build_id");
    TCase *tests = tcase_create("build_id");
    tcase_add_test(tests, it_is_what_the_linker_wrote);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
