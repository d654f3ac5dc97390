/* Matrix tiles in plain C, to the bit: the rules are those of amx_tile.h. */
#include "kernels/amx_tile.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = AMX_ROW_BYTES / 4, COLUMNS = AMX_ROW_BYTES / 4, BIAS = 127, SIGNIFICAND_BITS = 8, SUM_BITS = 5 };

typedef union {
    unsigned char row[AMX_ROWS][AMX_ROW_BYTES];
    float sums[AMX_ROWS][COLUMNS];
    bf16 numbers[AMX_ROWS][AMX_DEPTH];
} tile_register;

static _Thread_local struct {
    bool configured;
    amx_configuration configuration;
    tile_register tile[AMX_TILES];
} unit;

static void require(bool right)
{
    if (!right) abort();
}

static int rows_of(int tile) { return unit.configuration.rows[tile]; }

static int bytes_of(int tile) { return unit.configuration.row_bytes[tile]; }

void amx_emulate_configure(const amx_configuration *configuration)
{
    require(configuration->palette == 1 && configuration->start_row == 0);
    for (int i = 0; i < AMX_TILES; i++) {
        require(configuration->rows[i] <= AMX_ROWS && configuration->row_bytes[i] <= AMX_ROW_BYTES);
        require((configuration->rows[i] == 0) == (configuration->row_bytes[i] == 0));
    }
    memset(&unit, 0, sizeof unit);
    unit.configured = true;
    unit.configuration = *configuration;
}

void amx_emulate_release(void) { memset(&unit, 0, sizeof unit); }

static tile_register *usable(int tile)
{
    require(unit.configured && tile >= 0 && tile < AMX_TILES && rows_of(tile) > 0);
    return &unit.tile[tile];
}

void amx_emulate_zero(int tile) { memset(usable(tile), 0, sizeof(tile_register)); }

void amx_emulate_load(int tile, const void *from, size_t stride_bytes)
{
    tile_register *to = usable(tile);
    memset(to, 0, sizeof *to);
    for (int i = 0; i < rows_of(tile); i++)
        memcpy(to->row[i], (const char *)from + (size_t)i * stride_bytes, (size_t)bytes_of(tile));
}

void amx_emulate_store(int tile, void *to, size_t stride_bytes)
{
    const tile_register *from = usable(tile);
    for (int i = 0; i < rows_of(tile); i++) memcpy((char *)to + (size_t)i * stride_bytes, from->row[i], (size_t)bytes_of(tile));
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The first of the operands that is a NaN, made quiet. */
static float first_nan(float a, float b, float c)
{
    float first = isnan(a) ? a : isnan(b) ? b : c;
    uint32_t bits;
    memcpy(&bits, &first, sizeof bits);
    return from_bits(bits | 0x400000u);
}

/* A denormal number is zero of its sign. What an invalid operation makes of numbers is the processor's default NaN. */
static float flush(float value)
{
    if (isnan(value)) return from_bits(0xffc00000u);
    return fabsf(value) < 0x1p-126f ? copysignf(0.0f, value) : value;
}

/* NaN as it is. */
static float widen(bf16 value) { return from_bits((uint32_t)(value & 0x7f80 ? value : value & 0x8000) << 16); }

static float add(float a, float b)
{
    if (isnan(a) || isnan(b)) return first_nan(a, b, b);
    return flush(flush(a) + flush(b));
}

static float multiply_add(float sum, float a, float b)
{
    if (isnan(sum) || isnan(a) || isnan(b)) return first_nan(a, b, sum);
    return flush(fmaf(a, b, sum));
}

/* Exponent fields of the numbers that are neither zero nor denormal. */
typedef struct {
    int least;
    int most;
} exponent_range;

static exponent_range exponents_of(const tile_register *tile, int rows, int numbers)
{
    exponent_range range = {2 * BIAS, 1};
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < numbers; k++) {
            int exponent = tile->numbers[i][k] >> 7 & 0xff, counted = exponent > 0 ? exponent : 2 * BIAS;
            range.least = counted < range.least ? counted : range.least;
            range.most = exponent > range.most ? exponent : range.most;
        }
    }
    return range;
}

/* Whether all products, and so all their sums, are multiples of the least normal number, and no sum of as many as there are
 * reaches infinity: then plain arithmetic gives the same bits, since each product is a float. */
static bool is_plain(exponent_range a, exponent_range b)
{
    const int lowest = a.least + b.least - 2 * (BIAS + SIGNIFICAND_BITS - 1), highest = a.most + b.most - 2 * BIAS + 2;
    return lowest >= 1 - BIAS && highest <= BIAS - SUM_BITS && a.most <= 2 * BIAS && b.most <= 2 * BIAS;
}

/* Where products are exact, a fused multiply-add gives the same bits. */
__attribute__((target_clones("avx512f", "arch=haswell", "default"))) static void multiply_plain(const float a[AMX_DEPTH],
                                                                                                float b[PAIRS][2][COLUMNS],
                                                                                                int pairs, float part[2][COLUMNS])
{
    float even[COLUMNS] = {0}, odd[COLUMNS] = {0};
    for (int k = 0; k < pairs; k++) {
        for (int n = 0; n < COLUMNS; n++) {
            even[n] += a[2 * k] * b[k][0][n];
            odd[n] += a[2 * k + 1] * b[k][1][n];
        }
    }
    memcpy(part[0], even, sizeof even);
    memcpy(part[1], odd, sizeof odd);
}

static void multiply_any(const float a[AMX_DEPTH], float b[PAIRS][2][COLUMNS], int pairs, float part[2][COLUMNS])
{
    memset(part, 0, 2 * sizeof *part);
    for (int k = 0; k < 2 * pairs; k++) {
        for (int n = 0; n < COLUMNS; n++) part[k % 2][n] = multiply_add(part[k % 2][n], a[k], b[k / 2][k % 2][n]);
    }
}

/* How many are denormal, infinite or NaN. */
static int count_unusual(const float values[COLUMNS])
{
    int count = 0;
    for (int n = 0; n < COLUMNS; n++) {
        uint32_t bits;
        memcpy(&bits, &values[n], sizeof bits);
        bits &= 0x7fffffffu;
        count += bits - 1 < 0x7fffffu || bits >= 0x7f800000u;
    }
    return count;
}

/* Plain sums at once where nothing that is added or comes out wants more care: else one by one. */
static void add_parts(float sums[COLUMNS], float part[2][COLUMNS], int columns)
{
    float both[COLUMNS], total[COLUMNS];
    for (int n = 0; n < COLUMNS; n++) {
        both[n] = part[0][n] + part[1][n];
        total[n] = sums[n] + both[n];
    }
    if (count_unusual(sums) + count_unusual(part[0]) + count_unusual(part[1]) + count_unusual(both) + count_unusual(total) == 0) {
        memcpy(sums, total, (size_t)columns * sizeof *sums);
        return;
    }
    for (int n = 0; n < columns; n++) sums[n] = add(sums[n], add(part[0][n], part[1][n]));
}

void amx_emulate_multiply(int c, int a, int b)
{
    tile_register *sums = usable(c);
    const tile_register *left = usable(a), *right = usable(b);
    int pairs = rows_of(b), columns = bytes_of(b) / 4;
    require(c != a && c != b && a != b && rows_of(c) == rows_of(a) && bytes_of(c) == bytes_of(b) && bytes_of(a) == 4 * pairs);
    bool plain = is_plain(exponents_of(left, rows_of(a), 2 * pairs), exponents_of(right, pairs, 2 * columns));
    float factors[PAIRS][2][COLUMNS];
    for (int k = 0; k < pairs; k++) {
        for (int n = 0; n < COLUMNS; n++) {
            factors[k][0][n] = widen(right->numbers[k][2 * n]);
            factors[k][1][n] = widen(right->numbers[k][2 * n + 1]);
        }
    }
    for (int m = 0; m < rows_of(a); m++) {
        float row[AMX_DEPTH], part[2][COLUMNS];
        for (int k = 0; k < 2 * pairs; k++) row[k] = widen(left->numbers[m][k]);
        if (plain)
            multiply_plain(row, factors, pairs, part);
        else
            multiply_any(row, factors, pairs, part);
        add_parts(sums->sums[m], part, columns);
    }
}
