/* A data set that the ranks of a node decode together is the one that a single process decodes. */
#include "vgg11/train/shared_dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/idx_files.h"
#include "support/one_rank_memory.h"
#include "train/runs.h"
#include "vgg11/data/batch.h"

typedef struct {
    uint8_t *images;
    uint8_t *labels;
    uint32_t count;
    uint64_t histogram[256];
} decoded;

/* Not collective: all of it on this rank. */
static decoded decode_alone(dataset_split split, uint32_t limit, const char *resize, bool resize_bug)
{
    dataset_source source;
    runs_require(dataset_open(VGG_TEST_DATA, split, limit, &source) == VGG_OK, vgg_message());
    decoded all = {malloc((size_t)source.count * DATASET_PIXELS), malloc(source.count), source.count, {0}};
    runs_require(all.images && all.labels, "no memory to decode alone");
    vgg_range range = {0, source.count};
    vgg_status status = dataset_decode(&source, resize_find(resize), resize_bug, range, all.images, all.labels);
    runs_require(status == VGG_OK, vgg_message());
    normalization_count(all.images, source.count, all.histogram);
    return all;
}

static const struct {
    dataset_split split;
    uint32_t limit;
    const char *resize;
    bool resize_bug;
} cases[] = {
    {DATASET_TRAIN, 1, "bilinear", false},    {DATASET_TRAIN, 2, "nearest", false}, {DATASET_TRAIN, 7, "bicubic", false},
    {DATASET_TRAIN, 1001, "bilinear", false}, {DATASET_TEST, 303, "pad", false},    {DATASET_TRAIN, 50, "nearest", true},
};

static void compare_with_one_process(int i, bool shares)
{
    shared_dataset shared;
    if (!shares) ranks_refuse_shared_memory();
    vgg_status status = shared_dataset_open(ranks, VGG_TEST_DATA, cases[i].split, cases[i].limit, cases[i].resize,
                                            cases[i].resize_bug, &shared);
    if (!shares) ranks_allow_shared_memory();
    ranks_assert(status == VGG_OK, vgg_message());
    bool alone_on_nodes = comm_node_count(ranks) == comm_size(ranks), is_copy = *shared.refused;
    decoded alone = decode_alone(cases[i].split, cases[i].limit, cases[i].resize, cases[i].resize_bug);
    bool counts = shared.set.count == cases[i].limit && alone.count == cases[i].limit;
    bool images = counts && memcmp(shared.set.images, alone.images, (size_t)alone.count * DATASET_PIXELS) == 0;
    bool labels = counts && memcmp(shared.set.labels, alone.labels, alone.count) == 0;
    bool histogram = memcmp(shared.histogram, alone.histogram, sizeof alone.histogram) == 0;
    free(alone.images);
    free(alone.labels);
    shared_dataset_close(&shared);
    ranks_assert(counts, "number of samples");
    ranks_assert(images, "images");
    ranks_assert(labels, "labels");
    ranks_assert(histogram, "histogram");
    ranks_assert(is_copy == !(shares || alone_on_nodes), "a copy only where it has to be");
}

START_TEST(is_what_one_process_decodes) { compare_with_one_process(_i, true); }
END_TEST

START_TEST(is_that_without_shared_memory) { compare_with_one_process(_i, false); }
END_TEST

static void cut(const char *folder, const char *name, long bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    runs_require(truncate(path, bytes) == 0, path);
}

static void no_images(const char *folder) { runs_require(remove(path_in(folder, "train-images-idx3-ubyte")) == 0, folder); }
static void no_headers(const char *folder) { cut(folder, "train-images-idx3-ubyte", 7); }
static void last_image_short(const char *folder) { cut(folder, "train-images-idx3-ubyte", 16 + 40 * 784 - 1); }
static void last_label_missing(const char *folder) { cut(folder, "train-labels-idx1-ubyte", 8 + 39); }

static void strange_label(const char *folder)
{
    FILE *file = fopen(path_in(folder, "train-labels-idx1-ubyte"), "r+b");
    runs_require(file && fseek(file, -1, SEEK_END) == 0, folder);
    fputc(10, file);
    fclose(file);
}

static void (*const damages[])(const char *folder) = {no_images, no_headers, last_image_short, last_label_missing, strange_label};

/* Not collective. 40 images of 28x28, not packed, so that damage at the end is met by the last rank alone. */
static void write_set(const char *folder)
{
    const uint32_t images[] = {0x803, 40, 28, 28}, labels[] = {0x801, 40};
    byte_buffer pixels = idx_make(images, 4, 40 * 784), classes = idx_make(labels, 2, 40);
    file_write(path_in(folder, "train-images-idx3-ubyte"), pixels.bytes, pixels.count);
    file_write(path_in(folder, "train-labels-idx1-ubyte"), classes.bytes, classes.count);
    free(pixels.bytes);
    free(classes.bytes);
}

START_TEST(damage_is_told_on_all_ranks)
{
    const char *folder = runs_fresh_folder();
    shared_dataset shared;
    if (comm_rank(ranks) == 0) write_set(folder);
    comm_barrier(ranks);
    ranks_assert(shared_dataset_open(ranks, folder, DATASET_TRAIN, 0, "nearest", false, &shared) == VGG_OK, "before the damage");
    shared_dataset_close(&shared);
    if (comm_rank(ranks) == 0) damages[_i](folder);
    comm_barrier(ranks);
    ranks_assert(shared_dataset_open(ranks, folder, DATASET_TRAIN, 0, "nearest", false, &shared) == VGG_BAD_DATA, "damaged");
    ranks_assert(strstr(vgg_message(), folder) != NULL, vgg_message());
}
END_TEST

static void change_pixel(const char *folder)
{
    FILE *file = fopen(path_in(folder, "train-images-idx3-ubyte"), "r+b");
    runs_require(file && fseek(file, 16 + 784, SEEK_SET) == 0, folder);
    fputc(200, file);
    fclose(file);
}

/* Not collective: of one rank a node. */
static void write_own_set(const char *folder, bool changed)
{
    runs_require(mkdir(folder, 0755) == 0, folder);
    write_set(folder);
    if (changed) change_pixel(folder);
}

/* On nodes whose files have the same names and sizes. */
START_TEST(other_pixels_on_one_node_are_told)
{
    bool changed = _i == 1;
    char mine[256];
    snprintf(mine, sizeof mine, "%s/%d", runs_fresh_folder(), comm_node_index(ranks));
    if (comm_node_rank(ranks) == 0) write_own_set(mine, changed && comm_node_index(ranks) == 1);
    comm_barrier(ranks);
    shared_dataset shared;
    vgg_status status = shared_dataset_open(ranks, mine, DATASET_TRAIN, 0, "nearest", false, &shared);
    bool unlike = changed && comm_node_count(ranks) > 1;
    ranks_assert(status == (unlike ? VGG_DISAGREE : VGG_OK), status ? vgg_message() : "taken");
    if (status == VGG_OK) shared_dataset_close(&shared);
    ranks_assert(!unlike || strstr(vgg_message(), "(differing: 3-4)"), vgg_message());
}
END_TEST

/* Each node has its own copy, and only the last rank's is damaged. */
START_TEST(damage_on_one_node_names_it)
{
    bool last = comm_rank(ranks) == comm_size(ranks) - 1, last_node = comm_node_index(ranks) == comm_node_count(ranks) - 1;
    const char *good = runs_fresh_folder(), *bad = runs_fresh_folder();
    shared_dataset shared;
    if (comm_rank(ranks) == 0) write_set(good), write_set(bad);
    comm_barrier(ranks);
    if (last) last_image_short(bad);
    comm_barrier(ranks);
    vgg_status status = shared_dataset_open(ranks, last_node ? bad : good, DATASET_TRAIN, 0, "nearest", false, &shared);
    ranks_assert(status == VGG_BAD_DATA && strstr(vgg_message(), bad), vgg_message());
    bool named = strncmp(vgg_message(), "rank ", 5) == 0 && strstr(vgg_message(), comm_host(ranks));
    ranks_assert(named == (comm_node_count(ranks) > 1), vgg_message());
}
END_TEST

START_TEST(too_many_samples_are_refused)
{
    shared_dataset shared;
    vgg_status status = shared_dataset_open(ranks, VGG_TEST_DATA, DATASET_TRAIN, 60001, "nearest", false, &shared);
    ranks_assert(status == VGG_BAD_OPTION, vgg_message());
}
END_TEST

static vgg_status open_small(const void *unused)
{
    (void)unused;
    shared_dataset shared;
    vgg_status status = shared_dataset_open(ranks, VGG_TEST_DATA, DATASET_TEST, 64, "bilinear", false, &shared);
    if (status == VGG_OK) shared_dataset_close(&shared);
    return status;
}

/* What is left without memory for both the window and a copy is told on all ranks. */
START_TEST(all_hear_of_one_without_memory)
{
    const bool shares = _i;
    const memory_call call = {shares ? "shared" : "copied", open_small, NULL, VGG_OK, true};
    if (!shares) ranks_refuse_shared_memory();
    one_rank_memory_walk(&call, comm_size(ranks) - 1, 0, 1);
    ranks_allow_shared_memory();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("shared_dataset");
    TCase *tests = tcase_create("shared_dataset");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, NULL, runs_remove_folders);
    tcase_add_loop_test(tests, is_what_one_process_decodes, 0, sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(tests, is_that_without_shared_memory, 0, sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(tests, damage_is_told_on_all_ranks, 0, sizeof damages / sizeof damages[0]);
    tcase_add_loop_test(tests, other_pixels_on_one_node_are_told, 0, 2);
    tcase_add_test(tests, damage_on_one_node_names_it);
    tcase_add_test(tests, too_many_samples_are_refused);
    tcase_add_loop_test(tests, all_hear_of_one_without_memory, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }
