/* Images that are there more than once. */
#include <stdlib.h>

#include "doctor/data_impl.h"
#include "report/text.h"
#include "vgg11/base/hash.h"

typedef struct {
    uint64_t hash;
    uint8_t label;
    bool test;
} hashed_image;

static void hash_images(const dataset *set, bool test, hashed_image *list)
{
#pragma omp parallel for schedule(static)
    for (uint32_t i = 0; i < set->count; i++)
        list[i] = (hashed_image){hash_bits(set->images + (size_t)i * DATASET_PIXELS, DATASET_PIXELS), set->labels[i], test};
}

/* Of equal images those of training come first. */
static int compare(const void *left, const void *right)
{
    const hashed_image *a = left, *b = right;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return (int)a->test - (int)b->test;
}

typedef struct {
    uint32_t again;  /* training images that another one has been before */
    uint32_t unlike; /* of these, with another label */
    uint32_t shared; /* test images that are among those of training */
} copy_counts;

static copy_counts count_copies(const hashed_image *list, size_t count)
{
    copy_counts counts = {0};
    for (size_t i = 1, first = 0; i < count; i++) {
        if (list[i].hash != list[first].hash) {
            first = i;
        } else if (!list[first].test) {
            counts.shared += list[i].test;
            counts.again += !list[i].test;
            counts.unlike += !list[i].test && list[i].label != list[first].label;
        }
    }
    return counts;
}

/* Fewer are in every large collection. */
static bool is_many(uint32_t part, uint32_t whole) { return part >= 5 && (uint64_t)part * 100 > whole; }

static void judge_copies(const copy_counts *counts, uint32_t train, uint32_t test, doctor_findings *findings)
{
    char part[TEXT_NUMBER_BYTES], whole[TEXT_NUMBER_BYTES];
    if (is_many(counts->shared, test)) {
        doctor_finding *found = doctor_add(findings, "test-images-in-training", DOCTOR_LIKELY);
        doctor_say(found->what, "%s of %s test images are among the training images", text_count(counts->shared, part),
                   text_count(test, whole));
        doctor_say(found->seen, "they are the same to the bit: the test accuracy says how well these are remembered");
        doctor_say(found->change, "test on images that the network has not been trained on");
    }
    if (is_many(counts->again, train)) {
        doctor_finding *found = doctor_add(findings, "repeated-images", counts->unlike ? DOCTOR_LIKELY : DOCTOR_POSSIBLE);
        doctor_say(found->what, "%s of %s training images are there before", text_count(counts->again, part),
                   text_count(train, whole));
        doctor_say(found->seen, "they are the same to the bit; %s of them have another label than the first of their kind",
                   text_count(counts->unlike, part));
        doctor_say(found->change, "look at how the set was put together; of equal images keep one");
    }
}

/* Blank and identical images are findings of their own. */
vgg_status doctor_check_copies(const dataset *train, const dataset *test, doctor_findings *findings)
{
    size_t count = (size_t)train->count + test->count;
    hashed_image *list = malloc(count * sizeof *list);
    if (!list) return vgg_fail(VGG_UNAVAILABLE, "no memory to look for copies among %zu images", count);
    hash_images(train, false, list);
    hash_images(test, true, list + train->count);
    qsort(list, count, sizeof *list, compare);
    copy_counts counts = count_copies(list, count);
    free(list);
    judge_copies(&counts, train->count, test->count, findings);
    return VGG_OK;
}
