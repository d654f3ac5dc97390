/* What the file of timed choices keeps of them: how far the runs spread, when it was, and nothing of a busy moment. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conv/autotune_impl.h"
#include "support/support.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

enum { CHOICES = 3 * MODEL_LAYERS - 1, TEXT_MAX = 1 << 16 };

static char *folder, *cache;

static void set_up(void)
{
    folder = support_make_folder();
    ck_assert_int_gt(asprintf(&cache, "%s/plans.tsv", folder), 0);
}

static void tear_down(void)
{
    support_remove_folder(folder);
    free(cache);
    free(folder);
}

static void read_cache(char text[TEXT_MAX])
{
    FILE *file = fopen(cache, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, TEXT_MAX - 1, file)] = '\0';
    fclose(file);
}

static void write_cache(const char *text)
{
    FILE *file = fopen(cache, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static int count_lines(const char *text)
{
    int count = 0;
    while ((text = strchr(text, '\n'))) count++, text++;
    return count;
}

static int calls;

static double count_call(void *context, double value)
{
    (void)context;
    calls++;
    return value;
}

/* Agreements while a network is made: many where choices are timed, few where they are taken. */
static int calls_to_create(bool retune)
{
    network_config config = {.batch_capacity = 2,
                             .threads = 1,
                             .node_ranks = 1,
                             .training = true,
                             .tune = true,
                             .plan_cache = cache,
                             .retune = retune,
                             .agreement = {NULL, count_call}};
    network *net;
    calls = 0;
    ck_assert_msg(network_create(&config, &net) == VGG_OK, "%s", vgg_message());
    network_destroy(net);
    return calls;
}

START_TEST(spread_is_that_of_the_median)
{
    timed_runs runs = {.count = 0};
    ck_assert_double_eq(timed_runs_spread(&runs), 0);
    runs = (timed_runs){1, {3}};
    ck_assert_double_eq(timed_runs_spread(&runs), 0);
    runs = (timed_runs){3, {9, 4, 6}};
    ck_assert_double_eq(timed_runs_spread(&runs), 0.5);
    runs = (timed_runs){4, {100, 4, 6, 10}};
    ck_assert_double_eq(timed_runs_spread(&runs), 1);
}
END_TEST

START_TEST(lines_say_how_and_when)
{
    char text[TEXT_MAX];
    time_t before = time(NULL);
    calls_to_create(false);
    time_t after = time(NULL);
    read_cache(text);
    ck_assert_int_eq(count_lines(text), CHOICES);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        double seconds, spread;
        long long when;
        char *row = line;
        for (int tabs = 0; tabs < 4; tabs++) row = strchr(row, '\t') + 1;
        ck_assert_int_eq(sscanf(row, "%lf\t%lf\t%lld", &seconds, &spread, &when), 3);
        ck_assert(seconds > 0 && spread >= 0);
        ck_assert_int_ge(when, before);
        ck_assert_int_le(when, after);
    }
}
END_TEST

/* Two layers of one pass each, the first of them timed in a busy moment. */
static void store(double limit)
{
    static const conv_layer layers[] = {
        {"conv1", {.kernel = 3, .side = 32, .in = 1, .out = 64, .batch = 2, .threads = 1}, {true, false, false}},
        {"fc1", {.kernel = 1, .side = 1, .in = 512, .out = 4096, .batch = 2, .threads = 1}, {true, false, false}},
    };
    static conv_choice choices[2][CONV_PASSES];
    conv_autotune_config config = {.cache = cache, .node_ranks = 1, .spread_limit = limit};
    autotuner t = {.config = &config, .layers = layers, .count = 2, .choices = choices, .node_ranks = 1};
    for (int i = 0; i < 2; i++) {
        choices[i][CONV_FORWARD].plan = (conv_plan){
            .algorithm = conv_algorithm_find("reference"), .seconds = 1, .spread = i == 0 ? 0.8 : 0.2};
    }
    autotune_cache_store(&t);
}

START_TEST(busy_moments_are_not_kept)
{
    char text[TEXT_MAX];
    store(0.5);
    read_cache(text);
    ck_assert_int_eq(count_lines(text), 1);
    ck_assert_ptr_nonnull(strstr(text, "\tfc1\t0\treference\t1\t0.200\t"));
    store(0.8);
    read_cache(text);
    ck_assert_int_eq(count_lines(text), 2);
    store(0.1);
    read_cache(text);
    ck_assert_str_eq(text, "");
    store(0); /* no limit */
    read_cache(text);
    ck_assert_ptr_nonnull(strstr(text, "\tconv1\t0\treference\t1\t0.800\t"));
}
END_TEST

/* Takes away the line of that layer's pass. */
static void remove_line(char *text, const char *layer_and_pass)
{
    char *at = strstr(text, layer_and_pass);
    ck_assert_ptr_nonnull(at);
    while (at > text && at[-1] != '\n') at--;
    char *end = strchr(at, '\n') + 1;
    memmove(at, end, strlen(end) + 1);
}

START_TEST(what_is_missing_alone_is_timed)
{
    static char whole[TEXT_MAX], part[TEXT_MAX], again[TEXT_MAX];
    int timing = calls_to_create(false), taking = calls_to_create(false);
    ck_assert_int_lt(taking, timing);
    read_cache(whole);
    strcpy(part, whole);
    remove_line(part, "\tconv5\t1\t");
    remove_line(part, "\tfc2\t0\t");
    write_cache(part);
    int timing_two = calls_to_create(false);
    ck_assert_int_gt(timing_two, taking);
    ck_assert_int_lt(timing_two - taking, (timing - taking) / 4);
    read_cache(again);
    ck_assert_int_eq(count_lines(again), CHOICES);
    for (char *line = strtok(part, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(strstr(again, line) != NULL, "lost or changed: %s", line);
    ck_assert_int_eq(calls_to_create(false), taking);
}
END_TEST

/* Sets the seconds of every line of this program to a number that no run takes. */
static void falsify(char *text, const char *tail)
{
    static char changed[TEXT_MAX];
    *changed = '\0';
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *rest = line;
        for (int tabs = 0; tabs < 4; tabs++) rest = strchr(rest, '\t') + 1;
        snprintf(changed + strlen(changed), sizeof changed - strlen(changed), "%.*s%s\n", (int)(rest - line), line, tail);
    }
    strcpy(text, changed);
}

START_TEST(retuning_makes_the_entries_anew)
{
    static char text[TEXT_MAX];
    const char *foreign = "some other machine\tconv1\t0\tim2col\t0.1\n";
    int timing = calls_to_create(false);
    read_cache(text);
    falsify(text, "4321\t0.125\t1000");
    strcat(text, foreign);
    write_cache(text);
    ck_assert_int_lt(calls_to_create(false), timing); /* they are taken as they are */
    ck_assert_int_eq(calls_to_create(true), timing);
    read_cache(text);
    ck_assert_ptr_null(strstr(text, "4321"));
    ck_assert_ptr_nonnull(strstr(text, foreign));
    ck_assert_int_eq(count_lines(text), CHOICES + 1);
}
END_TEST

/* Lines of earlier versions end with the seconds. */
START_TEST(lines_without_a_spread_are_taken)
{
    static char text[TEXT_MAX];
    conv_cache_summary summary;
    calls_to_create(false);
    int taking = calls_to_create(false);
    read_cache(text);
    falsify(text, "4321");
    write_cache(text);
    ck_assert_int_eq(calls_to_create(false), taking);
    ck_assert(conv_cache_summarize(cache, &summary));
    ck_assert_int_eq(summary.own, CHOICES);
    ck_assert_int_eq(summary.oldest, 0);
    ck_assert_double_lt(summary.most_spread, 0);
    falsify(text, "4321\t0.5"); /* of no version */
    write_cache(text);
    ck_assert_int_gt(calls_to_create(false), taking);
}
END_TEST

START_TEST(summary)
{
    static char text[TEXT_MAX];
    conv_cache_summary found;
    ck_assert(!conv_cache_summarize(cache, &found));
    ck_assert_int_eq(found.choices, 0);
    ck_assert(!conv_cache_summarize(folder, &found));
    calls_to_create(false);
    read_cache(text);
    falsify(text, "1\t0.25\t2000");
    char *last = strstr(text, "0.25\t2000\n"), *first = strstr(last + 1, "0.25\t2000\n");
    memcpy(last, "0.75\t3000", 9);
    memcpy(first, "0.10\t1000", 9);
    strcat(text, "some other machine\tconv1\t0\tim2col\t0.1\t9\t1\nnothing\nthis line was cut\tconv1\t0\tim2col\t0.1\t9\t1");
    write_cache(text);
    ck_assert(conv_cache_summarize(cache, &found));
    ck_assert_int_eq(found.choices, CHOICES + 1);
    ck_assert_int_eq(found.own, CHOICES);
    ck_assert_int_eq(found.oldest, 1000);
    ck_assert_int_eq(found.newest, 3000);
    ck_assert_double_eq(found.median_spread, 0.25);
    ck_assert_double_eq(found.most_spread, 0.75);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan_cache");
    TCase *tests = tcase_create("plan_cache");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, spread_is_that_of_the_median);
    tcase_add_test(tests, lines_say_how_and_when);
    tcase_add_test(tests, busy_moments_are_not_kept);
    tcase_add_test(tests, what_is_missing_alone_is_timed);
    tcase_add_test(tests, retuning_makes_the_entries_anew);
    tcase_add_test(tests, lines_without_a_spread_are_taken);
    tcase_add_test(tests, summary);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
