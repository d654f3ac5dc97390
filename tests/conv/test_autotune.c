/* How algorithms are chosen: by name, in the table's order, by timing with several ranks that must agree, from the cache. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"
#include "vgg11/base/build_id.h"
#include "vgg11/base/cpu.h"
#include "vgg11/conv/conv.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

enum { RANKS = 3 };

static const network_config plain = {.batch_capacity = 2, .threads = 2, .training = true};

static network *create(const network_config *config)
{
    network *net;
    ck_assert_msg(network_create(config, &net) == VGG_OK, "%s", vgg_message());
    return net;
}

static void check_refused(const network_config *config, const char *named)
{
    network *net;
    ck_assert_int_eq(network_create(config, &net), VGG_UNAVAILABLE);
    ck_assert_ptr_null(net);
    ck_assert_msg(strstr(vgg_message(), named) != NULL, "%s", vgg_message());
    ck_assert_ptr_null(strchr(vgg_message(), '\n'));
}

START_TEST(unknown_name_is_refused)
{
    network_config config = plain;
    config.conv = "nonesuch";
    check_refused(&config, "nonesuch");
    config.tune = true;
    check_refused(&config, "nonesuch");
}
END_TEST

START_TEST(name_that_accepts_nothing_is_refused)
{
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
        network_config config = plain;
        config.conv = (*row)->name;
        if ((*row)->precision == PRECISION_BF16) check_refused(&config, (*row)->name);
    }
}
END_TEST

/* Each row by its name: it is taken wherever it accepts, and nothing is left without an algorithm. */
START_TEST(name_is_taken_wherever_it_accepts)
{
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
        network_config config = plain;
        network *net;
        int taken = 0;
        config.conv = (*row)->name;
        config.precision = (*row)->precision;
        if (network_create(&config, &net) != VGG_OK) {
            ck_assert_msg(strstr(vgg_message(), (*row)->name) != NULL, "%s", vgg_message());
            continue;
        }
        for (int i = 0; i < MODEL_LAYERS; i++) {
            const char *name = network_algorithm(net, i, CONV_FORWARD);
            ck_assert_str_ne(name, "none");
            taken += strcmp(name, (*row)->name) == 0;
        }
        for (int i = 1; i < MODEL_LAYERS; i++) {
            taken += strcmp(network_algorithm(net, i, CONV_INPUT_GRAD), (*row)->name) == 0;
            taken += strcmp(network_algorithm(net, i, CONV_WEIGHT_GRAD), (*row)->name) == 0;
        }
        ck_assert_msg(taken > 0, "%s", (*row)->name);
        network_destroy(net);
    }
}
END_TEST

/* What --no-tune takes in bf16 where the processor multiplies pairs: by kind of layer, with matrix tiles and without. */
static const struct {
    int batch, threads, layer, pass;
    const char *tiles, *pairs;
} expectations[] = {
    {2, 2, 1, CONV_FORWARD, "direct-bf16-amx", "winograd-bf16"},
    {2, 2, 3, CONV_INPUT_GRAD, "direct-bf16-amx", "winograd-bf16"},
    {2, 2, 3, CONV_WEIGHT_GRAD, "direct-bf16-amx", "winograd-bf16"},
    {2, 1, 3, CONV_WEIGHT_GRAD, "direct-bf16-amx", "winograd-bf16"},
    {2, 2, 5, CONV_FORWARD, "direct-bf16-amx", "winograd-bf16"},
    {2, 2, 7, CONV_FORWARD, "direct-bf16-amx", "direct-bf16"},
    {2, 2, 9, CONV_FORWARD, "direct-bf16-amx", "direct-bf16"},
    {128, 2, 9, CONV_FORWARD, "direct-bf16-amx", "direct-bf16"},
};

START_TEST(untimed_rows_of_bf16_are_those_expected)
{
    bool tiles = cpu_detect()->amx_bf16;
    if (!cpu_detect()->avx512_bf16) return;
    network_config config = {.batch_capacity = expectations[_i].batch,
                             .threads = expectations[_i].threads,
                             .training = true,
                             .precision = PRECISION_BF16};
    network *net = create(&config);
    ck_assert_str_eq(network_algorithm(net, expectations[_i].layer, expectations[_i].pass),
                     tiles ? expectations[_i].tiles : expectations[_i].pairs);
    network_destroy(net);
}
END_TEST

typedef struct {
    int choices;
    int reasons;
    int unrolls; /* reasons why im2col declined */
    char unrolls_text[256];
} listener;

static void listen(void *context, const char *text)
{
    listener *l = context;
    bool reason = strstr(text, " declined ") != NULL;
    l->choices += !reason;
    l->reasons += reason;
    if (!reason || !strstr(text, "unrolls 3x3")) return;
    l->unrolls++;
    snprintf(l->unrolls_text, sizeof l->unrolls_text, "%s", text);
}

/* Dense layers are no convolutions: im2col says so once for the three passes of all four. */
START_TEST(description_names_each_reason_once)
{
    network_config config = plain;
    config.conv = "im2col";
    network *net = create(&config);
    listener l = {0};
    network_describe(net, listen, &l);
    ck_assert_int_eq(l.choices, 3 * MODEL_LAYERS - 1);
    ck_assert_int_eq(l.unrolls, 1);
    ck_assert_ptr_nonnull(strstr(l.unrolls_text, "im2col declined fc1 forward and 11 more: "));
    ck_assert_int_lt(l.reasons, MODEL_LAYERS);
    network_destroy(net);
}
END_TEST

/* Ranks as threads: agreement is the largest of what all gave, once all have given theirs. */
typedef struct {
    pthread_barrier_t meet;
    double value[RANKS];
} meeting;

typedef struct {
    meeting *with;
    int rank;
    int calls;
    network_config config;
    network *net;
    vgg_status status;
} member;

static double agree(void *context, double value)
{
    member *m = context;
    m->calls++;
    m->with->value[m->rank] = value;
    pthread_barrier_wait(&m->with->meet);
    double most = m->with->value[0];
    for (int i = 1; i < RANKS; i++) most = fmax(most, m->with->value[i]);
    pthread_barrier_wait(&m->with->meet);
    return most;
}

static void *create_as_member(void *context)
{
    member *m = context;
    m->status = network_create(&m->config, &m->net);
    return NULL;
}

/* configs[rank] may differ: ranks on different machines. */
static void create_with(member members[RANKS], const network_config configs[RANKS])
{
    meeting with;
    pthread_t threads[RANKS];
    pthread_barrier_init(&with.meet, NULL, RANKS);
    for (int i = 0; i < RANKS; i++) {
        members[i] = (member){.with = &with, .rank = i, .config = configs[i]};
        members[i].config.agreement = (conv_agreement){&members[i], agree};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, create_as_member, &members[i]), 0);
    }
    for (int i = 0; i < RANKS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(members[i].status, VGG_OK);
    }
    pthread_barrier_destroy(&with.meet);
    for (int i = 1; i < RANKS; i++) {
        ck_assert_int_eq(members[i].calls, members[0].calls);
        for (int slot = 0; slot < 3 * MODEL_LAYERS; slot++)
            ck_assert_str_eq(network_algorithm(members[i].net, slot / 3, slot % 3),
                             network_algorithm(members[0].net, slot / 3, slot % 3));
    }
}

/* The first rank's node is fuller than the others'. */
static void create_together(member members[RANKS], char *const caches[RANKS])
{
    network_config configs[RANKS];
    for (int i = 0; i < RANKS; i++)
        configs[i] = (network_config){.batch_capacity = 2,
                                      .threads = 1,
                                      .node_ranks = i == 0 ? 2 : 1,
                                      .training = true,
                                      .tune = true,
                                      .plan_cache = caches[i]};
    create_with(members, configs);
}

static char *read_text(const char *path)
{
    char *text = calloc(1, 1 << 16);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(file);
    fread(text, 1, (1 << 16) - 1, file);
    fclose(file);
    return text;
}

static void check_kept_ranks(const char *cache)
{
    char *text = read_text(cache);
    ck_assert_msg(strstr(text, ", ranks 2,") && !strstr(text, ", ranks 1,"), "kept for %.200s", text);
    free(text);
}

static void destroy_together(member members[RANKS])
{
    for (int i = 0; i < RANKS; i++) network_destroy(members[i].net);
}

static char *path_in(const char *folder, const char *name)
{
    char *path;
    ck_assert_int_gt(asprintf(&path, "%s/%s", folder, name), 0);
    return path;
}

START_TEST(ranks_choose_alike_and_remember)
{
    char *folder = support_make_folder(), *mine = path_in(folder, "a"), *theirs = path_in(folder, "b");
    char *const one[RANKS] = {mine, mine, mine}, *const two[RANKS] = {mine, mine, theirs};
    member timed[RANKS], cached[RANKS], half[RANKS];
    create_together(timed, one);
    check_kept_ranks(mine);
    create_together(cached, one);
    ck_assert_int_lt(cached[0].calls, MODEL_LAYERS);
    ck_assert_int_gt(timed[0].calls, 3 * MODEL_LAYERS);
    for (int slot = 0; slot < 3 * MODEL_LAYERS; slot++)
        ck_assert_str_eq(network_algorithm(cached[0].net, slot / 3, slot % 3), network_algorithm(timed[0].net, slot / 3, slot % 3));
    create_together(half, two); /* one rank's machine has no cache yet: all time again */
    ck_assert_int_gt(half[0].calls, 3 * MODEL_LAYERS);
    destroy_together(timed), destroy_together(cached), destroy_together(half);
    support_remove_folder(folder);
    free(mine), free(theirs), free(folder);
}
END_TEST

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static int calls;

static double count_call(void *context, double value)
{
    (void)context;
    calls++;
    return value;
}

/* Calls for agreement while creating: few from a cache, many when timing. */
static int calls_to_create_among(const char *cache, int batch, int node_ranks)
{
    network_config config = {.batch_capacity = batch,
                             .threads = 2,
                             .node_ranks = node_ranks,
                             .tune = true,
                             .plan_cache = cache,
                             .agreement = {NULL, count_call}};
    calls = 0;
    network_destroy(create(&config));
    return calls;
}

static int calls_to_create(const char *cache, int batch) { return calls_to_create_among(cache, batch, 1); }

START_TEST(cache_that_does_not_fit_is_passed_over)
{
    char *folder = support_make_folder(), *cache = path_in(folder, "plans"), *text;
    const char *foreign = "some other machine\tconv1\t0\tim2col\t0.1\n";
    write_text(cache, foreign);
    int timing = calls_to_create(cache, 2), from_cache = calls_to_create(cache, 2);
    ck_assert_int_lt(from_cache, timing);
    text = read_text(cache);
    ck_assert_msg(strstr(text, foreign) != NULL, "another machine's line was lost");
    ck_assert_int_eq(calls_to_create(cache, 3), timing); /* another setting */
    ck_assert_int_eq(calls_to_create(cache, 2), from_cache);
    text[strlen(text) / 2] = '\0'; /* cut short: the rest is timed */
    write_text(cache, text);
    int part = calls_to_create(cache, 2);
    ck_assert_int_lt(part, timing);
    ck_assert_int_gt(part, from_cache);
    write_text(cache, "\x01\xff\t\t\t\n\n\tconv1\tnot a number");
    ck_assert_int_eq(calls_to_create(cache, 2), timing);
    ck_assert_int_eq(calls_to_create("/nonexistent/folder/plans", 2), timing);
    ck_assert_int_eq(calls_to_create(folder, 2), timing);
    unlink(cache);
    ck_assert_int_eq(mkfifo(cache, 0600), 0); /* which nobody writes to */
    ck_assert_int_eq(calls_to_create(cache, 2), timing);
    support_remove_folder(folder);
    free(text), free(cache), free(folder);
}
END_TEST

/* Ranks that share a node's memory slow each other down, each row in its own measure. */
START_TEST(cache_made_among_other_ranks_is_passed_over)
{
    char *folder = support_make_folder(), *cache = path_in(folder, "plans");
    int timing = calls_to_create_among(cache, 2, 1), from_cache = calls_to_create_among(cache, 2, 1);
    ck_assert_int_lt(from_cache, timing);
    ck_assert_int_eq(calls_to_create_among(cache, 2, 4), timing);
    ck_assert_int_eq(calls_to_create_among(cache, 2, 4), from_cache);
    ck_assert_int_eq(calls_to_create_among(cache, 2, 1), from_cache);
    support_remove_folder(folder);
    free(cache), free(folder);
}
END_TEST

/* Of the row in each line, which is the fourth of seven words. */
static void write_row_names(char *text)
{
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        char *name = line;
        for (int tabs = 0; tabs < 3; tabs++) name = strchr(name, '\t') + 1;
        *name = 'X';
    }
}

static void write_other_build(char *text)
{
    char id[BUILD_ID_MAX];
    build_id(id);
    ck_assert_ptr_nonnull(strstr(text, id));
    for (char *at = text; (at = strstr(at, id)); at++) *at ^= 1;
}

/* The rows have names that nobody has; or another build has chosen as this one does. */
static void (*const other_builds[])(char *text) = {write_row_names, write_other_build};

START_TEST(cache_of_another_build_is_passed_over)
{
    char *folder = support_make_folder(), *cache = path_in(folder, "plans");
    int timing = calls_to_create(cache, 2);
    char *text = read_text(cache);
    other_builds[_i](text);
    write_text(cache, text);
    ck_assert_int_eq(calls_to_create(cache, 2), timing);
    support_remove_folder(folder);
    free(text), free(cache), free(folder);
}
END_TEST

/* Another rank that cannot run any row makes this one leave them all, too. Times are no whole numbers, and all else is. */
static double refuse_all(void *context, double value)
{
    (void)context;
    return isfinite(value) && value > floor(value) ? INFINITY : value;
}

START_TEST(what_one_rank_lacks_none_takes)
{
    network_config config = plain;
    network *net;
    config.tune = true;
    config.agreement.agree = refuse_all;
    ck_assert_int_eq(network_create(&config, &net), VGG_UNAVAILABLE);
    ck_assert_msg(strstr(vgg_message(), "every rank") != NULL, "%s", vgg_message());
}
END_TEST

/* The line that a network with this configuration gives of itself. */
static const char *plan_of(const network_config *config, char text[CONV_CHOICES_TEXT_MAX])
{
    network *net = create(config);
    network_algorithms(net, text);
    network_destroy(net);
    return text;
}

START_TEST(plan_is_taken_before_all_else)
{
    char *folder = support_make_folder(), *cache = path_in(folder, "plans");
    char plans[3][CONV_CHOICES_TEXT_MAX];
    network_config config = plain;
    config.conv = "im2col";
    plan_of(&config, plans[0]);
    config.conv = NULL;
    plan_of(&config, plans[1]);
    ck_assert_str_ne(plans[0], plans[1]);
    config = (network_config){.batch_capacity = 2,
                              .threads = 2,
                              .training = true,
                              .tune = true,
                              .plan_cache = cache,
                              .plan = plans[0],
                              .agreement = {NULL, count_call}};
    calls = 0;
    ck_assert_str_eq(plan_of(&config, plans[2]), plans[0]);
    ck_assert_int_lt(calls, MODEL_LAYERS);
    ck_assert_int_eq(access(cache, F_OK), -1);
    support_remove_folder(folder);
    free(cache), free(folder);
}
END_TEST

/* By bits of _i: whether the first rank alone is told to time, has a cache, has a plan. */
START_TEST(ranks_that_were_told_unlike_things_choose_alike)
{
    char *folder = support_make_folder(), *cache = path_in(folder, "plans"), plan[CONV_CHOICES_TEXT_MAX];
    network_config configs[RANKS] = {plain, plain, plain};
    member members[RANKS];
    for (int i = 0; i < RANKS; i++) configs[i].threads = 1 + i;
    configs[0].tune = _i & 1;
    configs[0].plan_cache = _i & 2 ? cache : NULL;
    if (_i & 4) configs[0].plan = plan_of(&plain, plan);
    create_with(members, configs);
    destroy_together(members);
    support_remove_folder(folder);
    free(cache), free(folder);
}
END_TEST

/* What the others say: one of them has no memory; or one has other rows, and a smaller digest of them. */
static double have_no_memory(void *context, double value)
{
    (void)context;
    return fmax(value, 1);
}

static double have_another_build(void *context, double value)
{
    (void)context;
    return value < -1 ? value + 1 : value;
}

START_TEST(another_rank_that_cannot_begin_stops_this_one)
{
    network_config config = plain;
    config.agreement.agree = have_no_memory;
    check_refused(&config, "no memory");
    network *net;
    config.agreement.agree = have_another_build;
    ck_assert_int_eq(network_create(&config, &net), VGG_DISAGREE);
    ck_assert_msg(strstr(vgg_message(), "the same build") != NULL, "%s", vgg_message());
}
END_TEST

/* Puts `to` where the plan first says `from`. */
static void replace(const char *plan, const char *from, const char *to, char changed[2 * CONV_CHOICES_TEXT_MAX])
{
    const char *at = strstr(plan, from);
    ck_assert_ptr_nonnull(at);
    snprintf(changed, 2 * (size_t)CONV_CHOICES_TEXT_MAX, "%.*s%s%s", (int)(at - plan), plan, to, at + strlen(from));
}

START_TEST(plan_that_does_not_fit_is_passed_over)
{
    static const char *const changes[][2] = {
        {"conv1:", "conv2:"}, {"conv1:", "conv1"},   {"/-/", "/im2col/"},
        {"/-/", "/-"},        {" conv2", "  conv2"}, {" fc4:", "\nfc4:"},
        {" fc4:", " fc4:/"},  {" fc4:", ""},         {"conv3:", "conv3:%s%n"},
    };
    char expected[CONV_CHOICES_TEXT_MAX], other[CONV_CHOICES_TEXT_MAX], text[CONV_CHOICES_TEXT_MAX];
    char changed[2 * CONV_CHOICES_TEXT_MAX], longest[CONV_CHOICES_TEXT_MAX];
    network_config config = plain;
    config.conv = "im2col";
    plan_of(&config, other);
    config.conv = NULL;
    plan_of(&config, expected);
    config.plan = changed;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        replace(other, changes[i][0], changes[i][1], changed);
        ck_assert_msg(strcmp(plan_of(&config, text), expected) == 0, "taken: %s", changed);
    }
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    replace(other, "conv5:", longest, changed);
    ck_assert_str_eq(plan_of(&config, text), expected);
    for (size_t length = 0; length < strlen(other); length += 31) {
        snprintf(changed, sizeof changed, "%.*s", (int)length, other);
        ck_assert_msg(strcmp(plan_of(&config, text), expected) == 0, "taken: %s", changed);
    }
    config.plan = other;
    ck_assert_str_eq(plan_of(&config, text), other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("choose");
    TCase *tests = tcase_create("choose");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, unknown_name_is_refused);
    tcase_add_test(tests, name_that_accepts_nothing_is_refused);
    tcase_add_test(tests, name_is_taken_wherever_it_accepts);
    tcase_add_loop_test(tests, untimed_rows_of_bf16_are_those_expected, 0, sizeof expectations / sizeof expectations[0]);
    tcase_add_test(tests, description_names_each_reason_once);
    tcase_add_test(tests, ranks_choose_alike_and_remember);
    tcase_add_test(tests, cache_that_does_not_fit_is_passed_over);
    tcase_add_test(tests, cache_made_among_other_ranks_is_passed_over);
    tcase_add_loop_test(tests, cache_of_another_build_is_passed_over, 0, sizeof other_builds / sizeof other_builds[0]);
    tcase_add_test(tests, what_one_rank_lacks_none_takes);
    tcase_add_test(tests, plan_is_taken_before_all_else);
    tcase_add_loop_test(tests, ranks_that_were_told_unlike_things_choose_alike, 0, 8);
    tcase_add_test(tests, another_rank_that_cannot_begin_stops_this_one);
    tcase_add_test(tests, plan_that_does_not_fit_is_passed_over);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
