/* Rounding to bf16, against its definition. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "vgg11/kernels/bf16.h"
#include "support/support.h"

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What a number of this upper half is worth; one step past the largest counts as 2^128, as IEEE 754 rounding has it. */
static double magnitude(uint32_t upper) { return upper == 0x7f80 ? 0x1p128 : (double)from_bits(upper << 16); }

/* By distance to the two neighbours, and the even one if they are as near. */
static uint32_t round_by_definition(uint32_t bits)
{
    uint32_t sign = bits >> 31 << 15, below = bits >> 16 & 0x7fff;
    double value = fabs((double)from_bits(bits));
    double down = value - magnitude(below), up = magnitude(below + 1) - value;
    bool upward = up < down || (up == down && below % 2 == 1);
    return sign | (below + upward);
}

static const uint32_t low_halves[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
enum { LOW_HALVES = sizeof low_halves / sizeof *low_halves };

START_TEST(finite_numbers_round_to_nearest_even)
{
    for (uint32_t upper = 0; upper <= 0xffff; upper++) {
        if ((upper & 0x7f80) == 0x7f80) continue;
        for (int i = 0; i < LOW_HALVES; i++) {
            uint32_t bits = upper << 16 | low_halves[i];
            bool right = bf16_round(from_bits(bits)) == round_by_definition(bits);
            if (!right) ck_abort_msg("bits %08x", bits); /* a Check assertion each would write a file half a million times */
        }
    }
}
END_TEST

START_TEST(infinity_and_nan_stay)
{
    ck_assert_uint_eq(bf16_round(INFINITY), 0x7f80);
    ck_assert_uint_eq(bf16_round(-INFINITY), 0xff80);
    for (int i = 1; i < LOW_HALVES; i++) {
        ck_assert(isnan(bf16_widen(bf16_round(from_bits(0x7f800000u | low_halves[i])))));
        ck_assert(isnan(bf16_widen(bf16_round(from_bits(0xff800000u | low_halves[i])))));
    }
    ck_assert(isnan(bf16_widen(bf16_round(NAN))));
}
END_TEST

START_TEST(arrays_round_like_numbers)
{
    enum { COUNT = 1003 };
    float *in = malloc(COUNT * sizeof *in), *floats = malloc(COUNT * sizeof *floats);
    bf16 *out = malloc(COUNT * sizeof *out);
    ck_assert(in && floats && out);
    support_fill(in, COUNT, 1);
    in[COUNT - 1] = NAN;
    bf16_round_array(out, in, COUNT, 3);
    bf16_widen_array(floats, out, COUNT, 3);
    for (int i = 0; i < COUNT; i++) ck_assert(floats[i] == bf16_widen(out[i]) || (isnan(floats[i]) && isnan(in[i])));
    bf16_round_floats(floats, in, COUNT, 2);
    for (int i = 0; i < COUNT; i++) {
        bf16 expected = bf16_round(in[i]);
        ck_assert_uint_eq(out[i], expected);
        ck_assert(floats[i] == bf16_widen(expected) || (isnan(floats[i]) && isnan(in[i])));
    }
    free(in), free(floats), free(out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bf16");
    TCase *rounding = tcase_create("rounding");
    tcase_add_test(rounding, finite_numbers_round_to_nearest_even);
    tcase_add_test(rounding, infinity_and_nan_stay);
    tcase_add_test(rounding, arrays_round_like_numbers);
    suite_add_tcase(suite, rounding);
    return support_run(suite, NULL);
}
