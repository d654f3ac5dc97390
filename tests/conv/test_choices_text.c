/* Choices as text, in checkpoints and in the cache of timings: what is not as this program writes it is not taken. */
#include <stdio.h>
#include <string.h>

#include "conv/two_layers.h"
#include "support/support.h"

/* A row more than there are layers, which nothing may write to. */
static recorded_choice recorded[LAYERS + 1][CONV_PASSES];

static void set_up(void)
{
    support_open_folder();
    memset(recorded, 0, sizeof recorded);
    for (int i = 0; i < LAYERS * CONV_PASSES; i++)
        choices[i / CONV_PASSES][i % CONV_PASSES].plan.algorithm = conv_algorithm_find(i < CONV_PASSES ? "reference" : "im2col");
}

START_TEST(what_is_printed_is_read)
{
    char text[CONV_CHOICES_TEXT_MAX];
    conv_choices_print(layers, LAYERS, choices, text);
    ck_assert_str_eq(text, "conv1:reference/-/reference fc1:im2col/im2col/im2col");
    ck_assert(choices_text_read(&tuner, text, recorded));
    for (int i = 0; i < LAYERS * CONV_PASSES; i++) {
        const conv_algorithm *expected = i == CONV_INPUT_GRAD ? NULL : choices[i / CONV_PASSES][i % CONV_PASSES].plan.algorithm;
        ck_assert_ptr_eq(recorded[i / CONV_PASSES][i % CONV_PASSES].algorithm, expected);
    }
}
END_TEST

static const char *const others[] = {
    "",
    "conv1:reference/-/reference",
    "conv1:reference/-/reference ",
    "conv1:reference/-/reference,fc1:im2col/im2col/im2col",
    "conv1:reference/-/reference  fc1:im2col/im2col/im2col",
    "conv1:reference/-/reference fc1:im2col/im2col/im2col ",
    "conv1:reference/-/reference fc1:im2col/im2col/im2col/im2col",
    "conv1:reference/-/reference fc2:im2col/im2col/im2col",
    "conv1:reference/-/reference fc1;im2col/im2col/im2col",
    "conv1:reference/-/reference fc1:im2col im2col/im2col",
    "conv1:reference/-/reference fc1:im2col/im2col",
    "conv1:reference/-/reference fc1:im2col/-/im2col",
    "conv1:reference/reference/reference fc1:im2col/im2col/im2col",
    "conv1:reference/-/abacus fc1:im2col/im2col/im2col",
    "fc1:im2col/im2col/im2col conv1:reference/-/reference",
};

START_TEST(another_text_is_refused) { ck_assert(!choices_text_read(&tuner, others[_i], recorded)); }
END_TEST

/* Replaces the word of that number of each line of the cache behind the key, counted from 0. */
static void change_cache(const char *from, const char *to, int word, const char *instead)
{
    char line[CACHE_LINE_MAX];
    FILE *before = fopen(from, "r"), *after = fopen(to, "w");
    ck_assert(before && after);
    while (fgets(line, sizeof line, before)) {
        char *rest = line;
        for (int i = -1; rest; i++) {
            const char *one = strsep(&rest, "\t");
            fprintf(after, "%s%s", i == word ? instead : one, rest ? "\t" : "");
        }
    }
    fclose(before), fclose(after);
}

static int count_recorded(void)
{
    int count = 0;
    for (int i = 0; i < LAYERS * CONV_PASSES; i++) count += recorded[i / CONV_PASSES][i % CONV_PASSES].algorithm != NULL;
    return count;
}

/* Layers and passes that there are not, and rows. */
static const struct {
    int word;
    const char *instead;
    int recorded;
} changes[] = {{0, "conv1", CONV_PASSES}, {0, "conv9", 0}, {0, "", 0}, {1, "-1", 0}, {1, "3", 0}, {1, "x", 0}, {2, "abacus", 0}};

START_TEST(a_cache_takes_only_what_there_is)
{
    static const recorded_choice none[CONV_PASSES];
    char kept[256], changed[256];
    snprintf(kept, sizeof kept, "%s/kept", support_folder);
    snprintf(changed, sizeof changed, "%s/changed", support_folder);
    config.cache = kept;
    autotune_cache_store(&tuner);
    autotune_cache_load(&tuner, recorded);
    ck_assert_int_eq(count_recorded(), LAYERS * CONV_PASSES - 1);
    memset(recorded, 0, sizeof recorded);
    change_cache(kept, changed, changes[_i].word, changes[_i].instead);
    config.cache = changed;
    autotune_cache_load(&tuner, recorded);
    ck_assert_int_eq(count_recorded(), changes[_i].recorded);
    ck_assert_mem_eq(recorded[LAYERS], none, sizeof none);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("choices_text");
    TCase *tests = tcase_create("choices_text");
    tcase_add_checked_fixture(tests, set_up, support_close_folder);
    tcase_add_test(tests, what_is_printed_is_read);
    tcase_add_loop_test(tests, another_text_is_refused, 0, sizeof others / sizeof *others);
    tcase_add_loop_test(tests, a_cache_takes_only_what_there_is, 0, sizeof changes / sizeof *changes);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
