/* Images, classes, and the scale of pixels. */
#include "doctor/data_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/text.h"

/* What a look at each image of a set tells. */
typedef struct {
    uint32_t count;
    uint32_t flat;       /* of a single grey */
    uint32_t black;      /* of these, of grey 0 */
    uint32_t like_first; /* the same as the first image, which is one of them */
    bool ends_differ;    /* neither the first nor the last is flat */
} image_facts;

/* What findings about a set are called. */
typedef struct {
    const char *name, *flat, *alike;
} set_words;

static const set_words train_words = {"training", "blank-images", "identical-images"};
static const set_words test_words = {"test", "blank-test-images", "identical-test-images"};

static const uint8_t *image_at(const dataset *set, size_t index) { return set->images + index * DATASET_PIXELS; }

bool doctor_image_is_flat(const dataset *set, size_t index)
{
    const uint8_t *image = image_at(set, index);
    return memcmp(image, image + 1, DATASET_PIXELS - 1) == 0;
}

static image_facts look_at_images(const dataset *set)
{
    image_facts facts = {.count = set->count};
    for (uint32_t i = 0; i < set->count; i++) {
        bool flat = doctor_image_is_flat(set, i);
        facts.flat += flat;
        facts.black += flat && *image_at(set, i) == 0;
        facts.like_first += memcmp(image_at(set, i), set->images, DATASET_PIXELS) == 0;
    }
    facts.ends_differ = set->count > 2 && !doctor_image_is_flat(set, 0) && !doctor_image_is_flat(set, set->count - 1);
    return facts;
}

static bool is_most(uint32_t part, uint32_t whole) { return 2 * (uint64_t)part > whole; }

/* A few may be meant so, or be a blemish of the files; many are a mistake. */
static doctor_sureness sureness_of_share(uint32_t part, uint32_t whole)
{
    if ((uint64_t)part * 10 >= whole) return DOCTOR_CERTAIN;
    return (uint64_t)part * 100 >= whole ? DOCTOR_LIKELY : DOCTOR_POSSIBLE;
}

static void judge_flat(const image_facts *facts, const set_words *words, doctor_findings *findings)
{
    char flat[TEXT_NUMBER_BYTES], count[TEXT_NUMBER_BYTES];
    if (facts->flat == 0) return;
    bool only_ends = facts->ends_differ && facts->flat == facts->count - 2, black = facts->black == facts->flat;
    doctor_finding *found = doctor_add(findings, words->flat, sureness_of_share(facts->flat, facts->count));
    doctor_say(found->what, "%s of %s %s images are %s%s", text_count(facts->flat, flat), text_count(facts->count, count),
               words->name, black ? "blank" : "of a single grey", only_ends ? "; only the first and the last were resized" : "");
    doctor_say(found->seen,
               "all pixels of such an image are the same%s: nothing tells one digit from another, and every image gets the "
               "same answer, whatever the network is trained for",
               black ? ", 0" : "");
    if (only_ends)
        doctor_say(found->change,
                   "let the loop that resizes write to every image, not to the first and the last alone, and look at "
                   "one from the middle before training (in this program: leave out --resize-bug, which repeats that mistake)");
    else
        doctor_say(found->change, "look at some of these images, and at how they were read, resized and stored");
}

static void judge_alike(const image_facts *facts, const set_words *words, doctor_findings *findings)
{
    char alike[TEXT_NUMBER_BYTES], count[TEXT_NUMBER_BYTES];
    if (is_most(facts->flat, facts->count) || facts->count < 3 || !is_most(facts->like_first, facts->count)) return;
    doctor_finding *found = doctor_add(findings, words->alike, DOCTOR_CERTAIN);
    doctor_say(found->what, "%s of %s %s images are the same image", text_count(facts->like_first, alike),
               text_count(facts->count, count), words->name);
    doctor_say(found->seen, "all their pixels are those of the first image");
    doctor_say(found->change,
               "look at the loop that fills the images: it writes one image to every place, or reads the same one again");
}

typedef struct {
    uint32_t images[DATASET_CLASSES];
    uint32_t count;
    int largest;
} class_counts;

static class_counts count_classes(const dataset *set)
{
    class_counts counts = {.count = set->count};
    for (uint32_t i = 0; i < set->count; i++) counts.images[set->labels[i]]++;
    for (int k = 1; k < DATASET_CLASSES; k++) {
        if (counts.images[k] > counts.images[counts.largest]) counts.largest = k;
    }
    return counts;
}

/* With so many samples a class that is a tenth of them is missing by chance once in 10^9 times. */
enum { CLASSES_LEAST = 200 };

static void judge_missing(const class_counts *train, const class_counts *test, doctor_findings *findings)
{
    char list[4 * DATASET_CLASSES] = "", count[TEXT_NUMBER_BYTES];
    uint32_t tested = 0;
    for (int k = 0, used = 0; k < DATASET_CLASSES; k++) {
        if (train->images[k] > 0) continue;
        used += snprintf(list + used, sizeof list - (size_t)used, "%s%d", used ? ", " : "", k);
        tested += test->images[k];
    }
    if (!*list) return;
    doctor_finding *found = doctor_add(findings, "missing-classes", tested > 0 ? DOCTOR_LIKELY : DOCTOR_POSSIBLE);
    doctor_say(found->what, "no training image has the label %s", list);
    doctor_say(found->seen, "%s test images have it, and each of them will count as wrong", text_count(tested, count));
    doctor_say(found->change,
               "train on images of all classes: of files that are sorted by class, --train-samples takes the first classes alone");
}

static void judge_classes(const dataset *train, const dataset *test, doctor_findings *findings)
{
    class_counts counts = count_classes(train), tested = count_classes(test);
    char most[TEXT_NUMBER_BYTES], count[TEXT_NUMBER_BYTES];
    if (counts.count < CLASSES_LEAST) return;
    uint32_t largest = counts.images[counts.largest];
    if (is_most(largest, counts.count)) {
        bool all = largest == counts.count;
        doctor_finding *found = doctor_add(findings, "skewed-classes", all ? DOCTOR_CERTAIN : DOCTOR_POSSIBLE);
        doctor_say(found->what, "%s of %s training images have the label %d", text_count(largest, most),
                   text_count(counts.count, count), counts.largest);
        doctor_say(found->seen, "a network that always says %d is right in %.1f %% of them", counts.largest,
                   100.0 * largest / counts.count);
        doctor_say(found->change,
                   "look at how the labels were read; if there are so many, take fewer of them, and judge by the table of "
                   "classes that eval prints");
        if (all) return;
    }
    judge_missing(&counts, &tested, findings);
}

/* Of pixels, from images spread over the set. */
typedef struct {
    double mean, deviation; /* of pixels */
    double error;           /* of the mean, from how the means of images differ */
} brightness;

enum { BRIGHTNESS_LEAST = 100, BRIGHTNESS_IMAGES = 1000 };

static brightness measure_brightness(const dataset *set)
{
    double sum = 0, squares = 0, square_means = 0;
    uint32_t count = set->count < BRIGHTNESS_IMAGES ? set->count : BRIGHTNESS_IMAGES;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *image = image_at(set, (size_t)i * set->count / count);
        uint32_t own = 0, own_squares = 0;
        for (int p = 0; p < DATASET_PIXELS; p++) own += image[p], own_squares += (uint32_t)image[p] * image[p];
        double mean = (double)own / DATASET_PIXELS;
        sum += mean;
        square_means += mean * mean;
        squares += (double)own_squares / DATASET_PIXELS;
    }
    double mean = sum / count;
    return (brightness){mean, sqrt(fmax(squares / count - mean * mean, 0)),
                        sqrt(fmax(square_means / count - mean * mean, 0) / count)};
}

/* Writers differ a little, and small sets by chance, which is estimated from the images themselves. */
static void judge_brightness(const dataset *train, const dataset *test, doctor_findings *findings)
{
    brightness a = measure_brightness(train), b = measure_brightness(test);
    double difference = fabs(a.mean - b.mean), error = sqrt(a.error * a.error + b.error * b.error);
    if (train->count < BRIGHTNESS_LEAST || test->count < BRIGHTNESS_LEAST) return;
    if (difference < 6 * error || difference < 0.15 * fmax(a.deviation, b.deviation)) return;
    doctor_finding *found = doctor_add(findings, "unlike-brightness", DOCTOR_LIKELY);
    doctor_say(found->what, "the test images are %s than those of training", b.mean > a.mean ? "brighter" : "darker");
    doctor_say(found->seen, "the mean of their pixels is %.1f, that of the training images %.1f (deviation %.1f), of 255", b.mean,
               a.mean, a.deviation);
    doctor_say(found->change, "make the images of both sets in the same way: scaled, cut and inverted alike");
}

void doctor_check_data(const dataset *train, const dataset *test, doctor_findings *findings)
{
    image_facts facts = look_at_images(train), tested = look_at_images(test);
    judge_flat(&facts, &train_words, findings);
    judge_flat(&tested, &test_words, findings);
    judge_alike(&facts, &train_words, findings);
    judge_alike(&tested, &test_words, findings);
    judge_classes(train, test, findings);
    bool whole = !is_most(facts.flat, facts.count) && !is_most(tested.flat, tested.count);
    if (!whole || doctor_has(findings, train_words.alike) || doctor_has(findings, test_words.alike)) return;
    doctor_check_labels(train, test, findings);
    if (!doctor_has(findings, "inverted-images")) judge_brightness(train, test, findings);
}

bool doctor_data_is_void(const doctor_findings *findings)
{
    static const char *const names[] = {"blank-images", "identical-images", "shifted-labels", "unrelated-labels"};
    for (int i = 0; i < findings->count; i++) {
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            if (findings->list[i].sureness == DOCTOR_CERTAIN && strcmp(findings->list[i].name, names[k]) == 0) return true;
        }
    }
    return false;
}

/* Inputs beyond these are far from the size of one that initialisations are made for. */
static const double rms_most = 10, rms_least = 0.02;

void doctor_check_scale(const normalization *pixels, const uint64_t histogram[256], doctor_findings *findings)
{
    double count = 0, sum = 0, squares = 0;
    for (int b = 0; b < 256; b++) {
        double value = pixels->value[b], times = (double)histogram[b];
        count += times;
        sum += times * value;
        squares += times * value * value;
    }
    double rms = sqrt(squares / fmax(count, 1));
    if (rms <= rms_most && (rms >= rms_least || rms == 0)) return;
    doctor_finding *found = doctor_add(findings, "unnormalised-inputs", DOCTOR_CERTAIN);
    doctor_say(found->what, "the network's inputs are not normalised: they are %s",
               rms > rms_most ? "raw bytes, or as large" : "almost zero");
    doctor_say(found->seen,
               "pixels become numbers from %.3g to %.3g, mean %.3g, root mean square %.3g, where initial weights expect about 1; "
               "outputs and gradients are as many times too %s",
               (double)pixels->value[0], (double)pixels->value[255], sum / fmax(count, 1), rms, rms > rms_most ? "large" : "small");
    doctor_say(found->change, "subtract the mean of the training pixels and divide by their deviation: --normalize standard");
}

void doctor_check_order(const dataset *train, bool shuffle, doctor_findings *findings)
{
    uint32_t alike = 0, pairs = train->count > 0 ? train->count - 1 : 0;
    for (uint32_t i = 0; i < pairs; i++) alike += train->labels[i] == train->labels[i + 1];
    bool one_class = doctor_has(findings, "skewed-classes");
    if (shuffle || one_class || train->count < CLASSES_LEAST || !is_most(alike, pairs)) return;
    doctor_finding *found = doctor_add(findings, "sorted-samples", DOCTOR_CERTAIN);
    doctor_say(found->what, "the training images are sorted by class and are not shuffled");
    doctor_say(found->seen, "in %.1f %% of neighbours both have the same label, so that a batch knows one class or two",
               100.0 * alike / pairs);
    doctor_say(found->change, "leave out --no-shuffle");
}
