#include "vgg11/base/hash.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash_impl.h"
#include "support/support.h"
#include "vgg11/base/cpu.h"

/* RFC 3720, appendix B.4, and the check value of the catalogue of CRC algorithms ("123456789"). */
START_TEST(crc_gives_the_known_answers)
{
    unsigned char zeros[32] = {0}, ones[32], rising[32], falling[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++) {
        rising[i] = (unsigned char)i;
        falling[i] = (unsigned char)(31 - i);
    }
    ck_assert_uint_eq(hash_crc32c(0, zeros, 32), 0x8a9136aa);
    ck_assert_uint_eq(hash_crc32c(0, ones, 32), 0x62a8ab43);
    ck_assert_uint_eq(hash_crc32c(0, rising, 32), 0x46dd794e);
    ck_assert_uint_eq(hash_crc32c(0, falling, 32), 0x113fdb5c);
    ck_assert_uint_eq(hash_crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(hash_crc32c(0, "", 0), 0);
}
END_TEST

enum { BUFFER_BYTES = 40000 };

static unsigned char *random_bytes(size_t bytes)
{
    unsigned char *data = malloc(bytes);
    unsigned state = 12345;
    for (size_t i = 0; i < bytes; i++) data[i] = (unsigned char)((state = state * 1664525u + 1013904223u) >> 24);
    return data;
}

static uint32_t crc_bit_by_bit(uint32_t state, const unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        state ^= data[i];
        for (int bit = 0; bit < 8; bit++) state = (state >> 1) ^ (state & 1 ? 0x82f63b78u : 0);
    }
    return state;
}

/* Lengths on both sides of the three interleaved streams' 6,144 bytes, at all alignments. */
START_TEST(both_ways_to_a_crc_agree_with_the_definition)
{
    static const size_t lengths[] = {0, 1, 7, 8, 9, 63, 64, 2047, 2048, 6143, 6144, 6145, 12288, 20000, 36865};
    unsigned char *data = random_bytes(BUFFER_BYTES);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t offset = 0; offset < 9; offset++) {
            uint32_t expected = crc_bit_by_bit(0x1234567, data + offset, lengths[i]);
            ck_assert_uint_eq(crc32c_by_table(0x1234567, data + offset, lengths[i]), expected);
            if (cpu_detect()->sse42) ck_assert_uint_eq(crc32c_by_instruction(0x1234567, data + offset, lengths[i]), expected);
        }
    free(data);
}
END_TEST

START_TEST(a_crc_continues)
{
    unsigned char *data = random_bytes(BUFFER_BYTES);
    uint32_t whole = hash_crc32c(0, data, BUFFER_BYTES);
    for (size_t cut = 0; cut <= BUFFER_BYTES; cut += 997)
        ck_assert_uint_eq(hash_crc32c(hash_crc32c(0, data, cut), data + cut, BUFFER_BYTES - cut), whole);
    free(data);
}
END_TEST

/* Digests that checkpoints keep, and hashes that ranks compare, are these on every machine and with every version. */
START_TEST(the_hash_is_xxh3)
{
    ck_assert_uint_eq(hash_bits("", 0), UINT64_C(0x2d06800538d394c2));
    ck_assert_uint_eq(hash_bits("a", 1), UINT64_C(0xe6c632b61e964e1f));
    ck_assert_uint_eq(hash_bits("abc", 3), UINT64_C(0x78af5f94892f3950));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tests = tcase_create("hash");
    tcase_add_test(tests, crc_gives_the_known_answers);
    tcase_add_test(tests, both_ways_to_a_crc_agree_with_the_definition);
    tcase_add_test(tests, a_crc_continues);
    tcase_add_test(tests, the_hash_is_xxh3);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
