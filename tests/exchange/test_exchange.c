/* Every row of the exchange table over real ranks, against sums in double precision. */
#include "support/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgg11/comm/replica.h"
#include "vgg11/exchange/exchange.h"

/* A flat buffer and its tensors. */
typedef struct {
    const char *name;
    size_t count;
    vgg_range segments[8];
    size_t segment_count;
} layout;

static const layout layouts[] = {
    {"tiny", 16, {{0, 5}}, 1},
    {"without segments", 160, {{0}}, 0},
    {"awkward", 98304, {{16, 1}, {32, 15}, {48, 16}, {64, 17}, {4096, 16384}, {40960, 49157}}, 6},
    {"biases and kernels", 1 << 20, {{0, 576}, {576, 64}, {640, 73728}, {74368, 900001}, {974384, 10}}, 5},
};
enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

/* As many floats as VGG11 has, its largest tensors among them. */
static const layout whole = {
    "whole model", 32208976, {{0, 9220480}, {9220480, 2101248}, {11321728, 16781312}, {28103040, 4097000}, {32200048, 8898}}, 5};

static exchange *open_row(const char *name, const layout *l, int threads)
{
    exchange_config config = {.name = name,
                              .count = l->count,
                              .segments = l->segments,
                              .segment_count = l->segment_count,
                              .threads = threads,
                              .tune = true};
    exchange *ex = NULL;
    vgg_status status = exchange_create(ranks, &config, &ex);
    ranks_assert(status == VGG_OK, vgg_message());
    return ex;
}

/* Gradient of `rank` in `step`: zero between segments, as the network leaves it. */
static void fill(float *gradient, const layout *l, int rank, int step)
{
    memset(gradient, 0, l->count * sizeof *gradient);
    for (size_t i = 0; i < l->segment_count; i++)
        support_fill(gradient + l->segments[i].first, l->segments[i].count, (unsigned)(1000 * step + 10 * rank) + (unsigned)i);
}

static double *expected_sum(const layout *l, int step)
{
    double *sum = calloc(l->count, sizeof *sum);
    float *one = malloc(l->count * sizeof *one);
    for (int rank = 0; rank < comm_size(ranks); rank++) {
        fill(one, l, rank, step);
        for (size_t i = 0; i < l->count; i++) sum[i] += one[i];
    }
    free(one);
    return sum;
}

/* Tells of the gradient's ranges from the end to the start, in pieces of unlike sizes that differ between steps. */
static void tell_ranges(exchange *ex, size_t count, int step)
{
    size_t end = count, piece = 1 + (size_t)step;
    while (end > 0) {
        size_t length = piece < end ? piece : end;
        exchange_range_final(ex, end - length, length);
        exchange_poll(ex);
        end -= length;
        piece = piece * 3 + 1;
    }
}

static void check_sum(exchange *ex, const double *expected)
{
    vgg_range owned = exchange_owned(ex);
    const float *gradient = exchange_gradient(ex);
    double tolerance = 1e-6 * comm_size(ranks);
    bool right = true;
    for (size_t i = owned.first; i < owned.first + owned.count && right; i++) {
        right = fabs(gradient[i] - expected[i]) <= tolerance;
        if (!right) fprintf(stderr, "%s: [%zu] is %.9g, expected %.9g\n", exchange_name(ex), i, gradient[i], expected[i]);
    }
    ranks_assert(right, "sum over ranks");
}

static void check_square_sums(exchange *ex, const layout *l, const double *expected)
{
    double sums[8];
    exchange_square_sums(ex, sums);
    bool right = true;
    for (size_t i = 0; i < l->segment_count; i++) {
        double squares = 0;
        for (size_t j = 0; j < l->segments[i].count; j++) {
            double value = expected[l->segments[i].first + j];
            squares += value * value;
        }
        right &= fabs(sums[i] - squares) <= 1e-6 * squares;
    }
    ranks_assert(right, "sums of squares");
    char text[8 * 24] = "";
    for (size_t i = 0; i < l->segment_count; i++) snprintf(text + 24 * i, 24, "%a", sums[i]);
    for (size_t i = 0; i + 1 < l->segment_count; i++)
        memset(text + 24 * i + strlen(text + 24 * i), ' ', 24 - strlen(text + 24 * i));
    ranks_assert(comm_agree_text(ranks, "sums of squares", text) == VGG_OK, vgg_message());
}

/* The simplest update that shows every mistake: w += g, v -= g on what this rank owns. */
static void update(exchange *ex)
{
    vgg_range owned = exchange_owned(ex);
    float *weights = exchange_weights(ex), *velocity = exchange_velocity(ex);
    const float *gradient = exchange_gradient(ex);
    for (size_t i = owned.first; i < owned.first + owned.count; i++) {
        weights[i] += gradient[i];
        velocity[i] -= gradient[i];
    }
}

static void check_replicas(exchange *ex, const layout *l)
{
    ranks_assert(replica_check(ranks, "weights", exchange_weights(ex), l->count, 1) == VGG_OK, vgg_message());
}

static void run_steps(exchange *ex, const layout *l, int steps)
{
    double *weights = calloc(l->count, sizeof *weights);
    for (int step = 0; step < steps; step++) {
        double *expected = expected_sum(l, step);
        exchange_begin(ex);
        fill(exchange_gradient(ex), l, comm_rank(ranks), step);
        tell_ranges(ex, l->count, step);
        exchange_finish(ex);
        check_sum(ex, expected);
        check_square_sums(ex, l, expected);
        update(ex);
        exchange_publish(ex);
        check_replicas(ex, l);
        for (size_t i = 0; i < l->count; i++) weights[i] += expected[i];
        free(expected);
    }
    bool right = true;
    for (size_t i = 0; i < l->count; i++) right &= fabs(exchange_weights(ex)[i] - weights[i]) <= 1e-5 * steps * comm_size(ranks);
    ranks_assert(right, "weights after all steps");
    free(weights);
}

START_TEST(every_row_sums)
{
    const exchange_entry *entries;
    ck_assert_int_lt(_i, (int)exchange_entries(&entries));
    for (int l = 0; l < LAYOUTS; l++)
        for (int threads = 1; threads <= 2; threads++) {
            exchange *ex = open_row(entries[_i].name, &layouts[l], threads);
            ranks_assert(strcmp(exchange_name(ex), entries[_i].name) == 0, "named row is in use");
            ranks_assert(strstr(exchange_reason(ex), entries[_i].name) != NULL, "and the reason says so");
            run_steps(ex, &layouts[l], 3);
            exchange_destroy(ex);
        }
}
END_TEST

START_TEST(every_row_sums_the_whole_model)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    exchange *ex = open_row(entries[_i].name, &whole, 1);
    run_steps(ex, &whole, 1);
    exchange_destroy(ex);
}
END_TEST

/* With one bucket, with several, with the size that timing finds, and with the one that is taken untimed. */
static const struct {
    int mib;
    bool tune;
    const char *said;
} buckets[] = {{1, true, "buckets of 1 MiB (given)"},
               {3, false, "buckets of 3 MiB (given)"},
               {1024, true, "buckets of 1024 MiB (given)"},
               {0, true, "MiB (timed)"},
               {0, false, "buckets of 4 MiB (not timed)"}};

START_TEST(buckets_of_any_size_sum)
{
    static const layout several = {"several buckets", 5000000, {{0, 300000}, {300000, 4000000}, {4300000, 700000}}, 3};
    exchange_config config = {.name = "overlap",
                              .count = several.count,
                              .segments = several.segments,
                              .segment_count = several.segment_count,
                              .threads = 1,
                              .tune = buckets[_i].tune,
                              .bucket_mib = buckets[_i].mib};
    exchange *ex = NULL;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_OK, vgg_message());
    ranks_assert(comm_agree_text(ranks, "size of a bucket", exchange_reason(ex)) == VGG_OK, vgg_message());
    ranks_assert(comm_size(ranks) == 1 || strstr(exchange_reason(ex), buckets[_i].said), exchange_reason(ex));
    run_steps(ex, &several, 2);
    exchange_destroy(ex);
}
END_TEST

/* "node (timed: node 2.1 ms, overlap 9.0 ms, allreduce declined)": the row in use is the one with the least time. */
static bool is_fastest_first(const exchange *ex)
{
    char name[32];
    double milliseconds, before = 0;
    const char *at = strchr(exchange_reason(ex), ':');
    bool right = at != NULL;
    for (int row = 0; right && *at != ')'; row++) {
        if (sscanf(at + 1, " %31s %lf", name, &milliseconds) < 2) break; /* declined, as are all that follow */
        right = milliseconds >= before && (row > 0 || strcmp(name, exchange_name(ex)) == 0);
        before = milliseconds;
        at = strpbrk(at + 1, ",)");
    }
    return right;
}

START_TEST(auto_takes_a_row)
{
    exchange *ex = open_row("auto", &layouts[LAYOUTS - 1], 1);
    ranks_assert(strstr(exchange_reason(ex), exchange_name(ex)) == exchange_reason(ex), "the reason begins with the name");
    ranks_assert(comm_agree_text(ranks, "choice", exchange_reason(ex)) == VGG_OK, vgg_message());
    ranks_assert(comm_size(ranks) == 1 || is_fastest_first(ex), exchange_reason(ex));
    run_steps(ex, &layouts[LAYOUTS - 1], 2);
    exchange_destroy(ex);
}
END_TEST

START_TEST(auto_takes_the_first_row_where_nothing_is_to_be_timed)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    const layout *l = &layouts[LAYOUTS - 1];
    exchange_config config = {
        .name = "auto", .count = l->count, .segments = l->segments, .segment_count = l->segment_count, .threads = 1};
    exchange *ex = NULL;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_OK, vgg_message());
    bool alone = comm_size(ranks) == 1;
    ranks_assert(alone || strcmp(exchange_name(ex), entries[0].name) == 0, exchange_name(ex));
    ranks_assert(alone || strstr(exchange_reason(ex), "(first that opens; not timed)") != NULL, exchange_reason(ex));
    run_steps(ex, l, 2);
    exchange_destroy(ex);
}
END_TEST

START_TEST(owned_ranges_cover_each_node)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    const layout *l = &layouts[LAYOUTS - 1];
    exchange *ex = open_row(entries[_i].name, l, 1);
    vgg_range owned = exchange_owned(ex);
    uint64_t floats = owned.count;
    comm_node_sum_u64(ranks, &floats, 1);
    uint64_t copies = owned.count == l->count ? (uint64_t)comm_node_size(ranks) : 1;
    ranks_assert(floats == copies * l->count, "owned by somebody on each node");
    exchange_destroy(ex);
}
END_TEST

/* Sums with values that a careless path would hide. */
START_TEST(odd_numbers_pass_through)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    const layout *l = &layouts[2];
    exchange *ex = open_row(entries[_i].name, l, 1);
    enum { NAN_AT = 4100, INFINITE_AT = 4200, OPPOSITE_AT = 4300, DENORMAL_AT = 4400, ZERO_AT = 4500 };
    int rank = comm_rank(ranks), size = comm_size(ranks);
    exchange_begin(ex);
    float *gradient = exchange_gradient(ex);
    fill(gradient, l, rank, 0);
    gradient[NAN_AT] = rank == size - 1 ? NAN : 1.0f;
    gradient[INFINITE_AT] = rank == 0 ? INFINITY : 1.0f;
    gradient[OPPOSITE_AT] = rank == 0 ? -INFINITY : INFINITY;
    gradient[DENORMAL_AT] = 1e-45f;
    gradient[ZERO_AT] = 0.0f;
    tell_ranges(ex, l->count, 0);
    exchange_finish(ex);
    double sums[8];
    exchange_square_sums(ex, sums);
    update(ex);
    exchange_publish(ex);
    const float *weights = exchange_weights(ex);
    bool right = isnan(weights[NAN_AT]) && isinf(weights[INFINITE_AT]) && weights[INFINITE_AT] > 0;
    right &= size == 1 ? isinf(weights[OPPOSITE_AT]) : isnan(weights[OPPOSITE_AT]);
    right &= weights[DENORMAL_AT] == (float)size * 1e-45f && weights[ZERO_AT] == 0;
    ranks_assert(right, "NaN, Inf, denormals and zeros");
    ranks_assert(isnan(sums[4]) && isfinite(sums[5]), "the segment's sum of squares tells, the others' do not");
    exchange_destroy(ex);
}
END_TEST

START_TEST(distribute_and_collect)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    const layout *l = &layouts[LAYOUTS - 1];
    exchange *ex = open_row(entries[_i].name, l, 1);
    float *expected = malloc(l->count * sizeof *expected);
    float *buffers[] = {exchange_weights(ex), exchange_velocity(ex)};
    for (int b = 0; b < 2; b++) {
        fill(expected, l, 0, 40 + b);
        if (comm_rank(ranks) == 0) memcpy(buffers[b], expected, l->count * sizeof *expected);
        exchange_distribute(ex, buffers[b]);
        ranks_assert(memcmp(buffers[b], expected, l->count * sizeof *expected) == 0, "distributed everywhere");
    }
    comm_barrier(ranks);
    vgg_range owned = exchange_owned(ex);
    for (size_t i = owned.first; i < owned.first + owned.count; i++) buffers[1][i] = (float)i;
    exchange_collect(ex, buffers[1]);
    bool right = true;
    for (size_t i = 0; i < l->count; i++) right &= buffers[1][i] == (float)i;
    ranks_assert(right || comm_rank(ranks) != 0, "collected on rank 0");
    free(expected);
    exchange_destroy(ex);
}
END_TEST

/* An excluded segment is left out of sums where common memory takes its place, and does not count when owners are given equal shares;
 * elsewhere it is a segment like any other. What ranks write to that memory, all of them see. */
START_TEST(common_memory_takes_a_segments_place)
{
    enum { COUNT = 800800, FIRST = 40 * 1024, END = 1 << 20, APART = 1, BLOCK = 1 << 14 };
    const exchange_entry *entries;
    exchange_entries(&entries);
    layout l = {"with one apart", END, {{0, 40000}, {FIRST, COUNT}, {FIRST + COUNT + 16, 90000}}, 3};
    const bool excluded[3] = {[APART] = true};
    int rank = comm_rank(ranks), size = comm_size(ranks);
    exchange_config config = {.name = entries[_i].name,
                              .count = END,
                              .segments = l.segments,
                              .segment_count = 3,
                              .threads = 1,
                              .excluded = excluded,
                              .node_scratch_bytes = (size_t)size * sizeof(int)};
    exchange *ex = NULL;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_OK, vgg_message());
    int *common = exchange_node_scratch(ex);
    bool shared = size == 1 || (strcmp(entries[_i].name, "node") == 0 && comm_node_count(ranks) == 1);
    ranks_assert((common != NULL) == shared, "common memory where all ranks share it");
    exchange_begin(ex);
    fill(exchange_gradient(ex), &l, rank, 0);
    if (common) common[rank] = 100 + rank;
    if (common) exchange_gradient(ex)[FIRST + 5] = NAN;
    tell_ranges(ex, l.count, 0);
    exchange_finish(ex);
    bool right = true;
    for (int r = 0; common && r < size; r++) right &= common[r] == 100 + r;
    comm_barrier(ranks);
    if (common) common[(rank + 1) % size] = 200 + rank;
    double sums[3], *expected = expected_sum(&l, 0);
    exchange_square_sums(ex, sums);
    for (int r = 0; common && r < size; r++) right &= common[(r + 1) % size] == 200 + r;
    ranks_assert(right, "all ranks see what each wrote");
    ranks_assert(common ? sums[APART] == 0 : sums[APART] > 1, "square sum of the segment apart");
    vgg_range owned = exchange_owned(ex);
    size_t mine = 0;
    for (size_t i = owned.first; i < owned.first + owned.count; i++) {
        if (common && i >= FIRST && i < FIRST + COUNT) continue;
        mine++;
        right &= fabs(exchange_gradient(ex)[i] - expected[i]) <= 1e-6 * size;
    }
    ranks_assert(right, "the rest is summed");
    ranks_assert(!common || mine <= (END - COUNT) / (size_t)size + BLOCK, "equal shares of what is summed");
    exchange_publish(ex);
    free(expected);
    exchange_destroy(ex);
}
END_TEST

START_TEST(unknown_name_is_refused)
{
    exchange_config config = {.name = "pigeon", .count = 16, .threads = 1};
    exchange *ex;
    ranks_assert(exchange_create(ranks, &config, &ex) == VGG_BAD_OPTION && !ex, "bad option");
    ranks_assert(strstr(vgg_message(), "pigeon") && strstr(vgg_message(), "allreduce"), "names what was asked and what there is");
}
END_TEST

START_TEST(costs_are_told)
{
    const exchange_entry *entries;
    exchange_entries(&entries);
    exchange *ex = open_row(entries[_i].name, &layouts[LAYOUTS - 1], 1);
    exchange_costs cost = exchange_cost(ex);
    ranks_assert(cost.bytes_touched > 0 && cost.memory_rank_bytes + cost.memory_node_bytes > 0, "memory");
    ranks_assert(comm_any(ranks, cost.bytes_sent > 0) || comm_node_count(ranks) == 1, "something crosses nodes");
    exchange_destroy(ex);
}
END_TEST

static Suite *make_suite(void)
{
    const exchange_entry *entries;
    int rows = (int)exchange_entries(&entries);
    Suite *suite = suite_create("exchange");
    TCase *tests = tcase_create("exchange");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, every_row_sums, 0, rows);
    tcase_add_loop_test(tests, owned_ranges_cover_each_node, 0, rows);
    tcase_add_loop_test(tests, odd_numbers_pass_through, 0, rows);
    tcase_add_loop_test(tests, distribute_and_collect, 0, rows);
    tcase_add_loop_test(tests, costs_are_told, 0, rows);
    tcase_add_loop_test(tests, buckets_of_any_size_sum, 0, sizeof buckets / sizeof buckets[0]);
    tcase_add_test(tests, auto_takes_a_row);
    tcase_add_test(tests, auto_takes_the_first_row_where_nothing_is_to_be_timed);
    tcase_add_loop_test(tests, common_memory_takes_a_segments_place, 0, rows);
    tcase_add_test(tests, unknown_name_is_refused);
    if (comm_size(ranks) == 2 && comm_node_count(ranks) == 1) tcase_add_loop_test(tests, every_row_sums_the_whole_model, 0, rows);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }
