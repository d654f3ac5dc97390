/* The bench command as a user runs it: its JSON, and its refusals. */
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"

/* What the command prints on standard output as JSON; the caller drops it. */
static json_t *run_json(int ranks, const char *options)
{
    char command[1024];
    snprintf(command, sizeof command, "%s -np %d %s bench --json --threads 1 %s", VGG_TEST_MPIRUN, ranks, VGG_TEST_PROGRAM,
             options);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    json_error_t error;
    json_t *result = json_loadf(pipe, 0, &error);
    int status = pclose(pipe);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %d", command, status);
    ck_assert_msg(result != NULL, "%s: line %d: %s", command, error.line, error.text);
    return result;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    ck_assert_msg(json_is_number(value), "no number %s", key);
    return json_number_value(value);
}

/* All numbers of the object are finite and above zero, but for those in `may_be_zero`. */
static void check_numbers(json_t *object, const char *may_be_zero)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_number(value)) continue;
        double x = json_number_value(value);
        ck_assert_msg(isfinite(x) && (x > 0 || (x == 0 && strstr(may_be_zero, key))), "%s is %g", key, x);
    }
}

static void check_limits(const json_t *result)
{
    json_t *limits = json_object_get(result, "limits");
    check_numbers(limits, "");
    ck_assert_double_gt(number(limits, "fp32_flops_per_s"), 0);
    ck_assert_double_gt(number(limits, "update_bytes_per_s"), 0);
}

/* Of the rows by which these tests compute, im2col multiplies with the padding, Winograd's make fewer products, and the others make those
 * of the direct convolution. */
static void check_bound(const json_t *line)
{
    const char *row = json_string_value(json_object_get(line, "algorithm"));
    double ratio = number(line, "algorithm_flops") / number(line, "flops");
    bool fewer = strncmp(row, "winograd", 8) == 0, padded = strcmp(row, "im2col") == 0;
    ck_assert_msg(fewer ? ratio < 0.6 : padded ? ratio > 1 : fabs(ratio - 1) < 1e-9, "%s: %g", row, ratio);
    ck_assert_double_eq_tol(number(line, "fraction_of_bound") * number(line, "median_s"), number(line, "bound_s"), 1e-9);
}

static void check_layers(const json_t *result, bool factors)
{
    const json_t *layers = json_object_get(result, "layers");
    const json_t *in_update = json_object_get(json_object_get(result, "step"), "weight_gradients_in_update");
    ck_assert_uint_eq(json_array_size(layers) + json_array_size(in_update), 12 * 3 - 1);
    ck_assert_uint_eq(json_array_size(in_update), factors ? 3 : 0);
    for (size_t i = 0; i < json_array_size(layers); i++) {
        json_t *line = json_array_get(layers, i);
        check_numbers(line, "");
        ck_assert_double_gt(number(line, "fraction"), 0);
        check_bound(line);
        ck_assert_double_le(number(line, "least_s"), number(line, "median_s"));
        ck_assert_uint_gt(strlen(json_string_value(json_object_get(line, "algorithm"))), 0);
    }
}

static void check_step(const json_t *result, size_t repeats)
{
    json_t *step = json_object_get(result, "step"), *parts = json_object_get(step, "parts");
    check_numbers(step, "bytes_sent memory_rank_bytes memory_node_bytes");
    json_t *whole = json_object_get(parts, "whole step");
    check_numbers(whole, "");
    ck_assert_double_gt(number(whole, "fraction"), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(step, "seconds")), repeats);
    double sum = number(json_object_get(parts, "forward"), "least_s") + number(json_object_get(parts, "backward"), "least_s");
    ck_assert_double_le(sum, number(whole, "most_s"));
    ck_assert_double_eq_tol(number(step, "images_per_second") * number(whole, "median_s"), number(result, "batch_size"), 1e-6);
}

static void check_strategies(const json_t *result)
{
    const json_t *strategies = json_object_get(result, "exchange");
    ck_assert_uint_gt(json_array_size(strategies), 0);
    for (size_t i = 0; i < json_array_size(strategies); i++) {
        json_t *line = json_array_get(strategies, i);
        if (json_object_get(line, "declined")) continue;
        check_numbers(line, "bytes_sent memory_rank_bytes memory_node_bytes");
        ck_assert_double_gt(number(line, "fraction"), 0);
        ck_assert_double_gt(number(line, "update_s"), 0);
    }
}

static void check_all(int ranks, const char *options, int batch, size_t repeats, bool factors)
{
    json_t *result = run_json(ranks, options);
    ck_assert_double_eq(number(result, "ranks"), ranks);
    ck_assert_double_eq(number(result, "batch_size"), batch);
    check_limits(result);
    check_layers(result, factors);
    check_step(result, repeats);
    check_strategies(result);
    json_decref(result);
}

START_TEST(everything_on_one_rank) { check_all(1, "--precision fp32 --batch-size 2 --repeats 2", 2, 2, true); }
END_TEST

/* One rank has two images, the other one. */
START_TEST(everything_on_two_ranks) { check_all(2, "--conv im2col --batch-size 3 --repeats 3", 3, 3, false); }
END_TEST

START_TEST(a_rank_without_images)
{
    json_t *result = run_json(2, "--conv im2col --part step --batch-size 1 --repeats 1");
    check_step(result, 1);
    json_decref(result);
}
END_TEST

START_TEST(only_the_part_that_was_asked_for)
{
    json_t *result = run_json(1, "--part limits");
    check_limits(result);
    ck_assert_ptr_null(json_object_get(result, "layers"));
    ck_assert_ptr_null(json_object_get(result, "step"));
    ck_assert_ptr_null(json_object_get(result, "exchange"));
    json_decref(result);
}
END_TEST

START_TEST(pictures)
{
    char *folder = support_make_folder(), options[512], name[512];
    int tool = system("gnuplot --version >/dev/null 2>&1");
    snprintf(options, sizeof options, "--conv im2col --part layers --batch-size 1 --repeats 1 --plot %s/new", folder);
    json_decref(run_json(1, options));
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/new/%s.svg", folder, i ? "roofline" : "layers");
        ck_assert_msg((access(name, R_OK) == 0) == (tool == 0), "%s", name);
    }
    support_remove_folder(folder);
    free(folder);
}
END_TEST

static const struct {
    const char *options;
    int status;
    const char *word; /* that the message must have */
} refusals[] = {
    {"--part nosuch", 2, "part"},
    {"--repeats 0", 2, "repeats"},
    {"--batch-size 0", 2, "batch-size"},
    {"--epochs 1", 2, "epochs"},
    {"--exchange nosuch", 2, "exchange"},
    {"--conv nosuch --part step", 9, "nosuch"},
    {"--conv im2col --part layers --batch-size 1 --repeats 1 --plot /dev/null/pictures", 5, "/dev/null/pictures"},
};

START_TEST(refusals_are_one_line_and_a_status)
{
    char command[1024], line[2048], more[64];
    snprintf(command, sizeof command, "%s bench --threads 1 %s 2>&1 >/dev/null", VGG_TEST_PROGRAM, refusals[_i].options);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, pipe));
    ck_assert_msg(strstr(line, refusals[_i].word) != NULL, "%s: %s", refusals[_i].options, line);
    ck_assert_ptr_null(fgets(more, sizeof more, pipe));
    int status = pclose(pipe);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == refusals[_i].status, "%s: status %d", refusals[_i].options, status);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench command");
    TCase *tests = tcase_create("bench command");
    tcase_set_timeout(tests, 250);
    tcase_add_test(tests, everything_on_one_rank);
    tcase_add_test(tests, everything_on_two_ranks);
    tcase_add_test(tests, a_rank_without_images);
    tcase_add_test(tests, only_the_part_that_was_asked_for);
    tcase_add_test(tests, pictures);
    tcase_add_loop_test(tests, refusals_are_one_line_and_a_status, 0, sizeof refusals / sizeof refusals[0]);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
