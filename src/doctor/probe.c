#include "doctor/probe.h"

#include <math.h>
#include <string.h>

#include "vgg11/base/integers.h"

enum { SIDE = DATASET_SIDE, LAST = DATASET_SIDE - 1, LEAST_IMAGES = 100 };

const probe_orientation probe_orientations[PROBE_ORIENTATIONS] = {
    {0, SIDE, 1, "as they are"},
    {0, 1, SIDE, "transposed (rows and columns exchanged)"},
    {LAST, SIDE, -1, "mirrored left to right"},
    {LAST * SIDE, -SIDE, 1, "upside down (mirrored top to bottom)"},
    {LAST * SIDE + LAST, -SIDE, -1, "turned by 180 degrees"},
    {LAST * SIDE, 1, -SIDE, "turned by 90 degrees"},
    {LAST, -1, SIDE, "turned by 90 degrees"},
    {LAST * SIDE + LAST, -1, -SIDE, "transposed along the other diagonal"},
};

/* Places at both ends are left out, so that a shifted label is there for every image that is taken. */
static size_t usable_count(const dataset *set) { return set->count > 2 * PROBE_SHIFT_MAX ? set->count - 2 * PROBE_SHIFT_MAX : 0; }

static size_t sample_count(const dataset *set) { return size_min(usable_count(set), PROBE_IMAGES); }

static size_t sample_place(const dataset *set, size_t sample)
{
    return PROBE_SHIFT_MAX + sample * usable_count(set) / sample_count(set);
}

static uint8_t label_at(const probe_look *look, size_t place)
{
    return look->shift < 0 ? look->set->labels[place - (size_t)-look->shift] : look->set->labels[place + (size_t)look->shift];
}

static void view_image(const probe_look *look, size_t place, float x[DATASET_PIXELS])
{
    const probe_orientation *way = &probe_orientations[look->orientation];
    const uint8_t *image = look->set->images + place * DATASET_PIXELS;
    for (int row = 0; row < SIDE; row++) {
        for (int column = 0; column < SIDE; column++) {
            uint8_t pixel = image[way->first + row * way->row_step + column * way->column_step];
            x[row * SIDE + column] = (float)(look->negative ? 255 - pixel : pixel);
        }
    }
}

static void add_image(probe *p, const probe_look *look, size_t place)
{
    float x[DATASET_PIXELS];
    uint8_t label = label_at(look, place);
    view_image(look, place, x);
    for (int i = 0; i < DATASET_PIXELS; i++) p->mean[i][label] += x[i];
    p->offset[label]++;
}

/* Until here offset[] has counted the images of each class. */
static void finish_means(probe *p)
{
    float images[PROBE_LANES];
    memcpy(images, p->offset, sizeof images);
    for (int k = 0; k < PROBE_LANES; k++) p->offset[k] = images[k] > 0 ? 0 : -INFINITY;
    for (int i = 0; i < DATASET_PIXELS; i++) {
        for (int k = 0; k < PROBE_LANES; k++) {
            if (images[k] > 0) p->mean[i][k] /= images[k];
            p->offset[k] -= 0.5f * p->mean[i][k] * p->mean[i][k];
        }
    }
}

void probe_learn(probe *p, const probe_look *look)
{
    memset(p, 0, sizeof *p);
    for (size_t sample = 0, count = sample_count(look->set); sample < count; sample += 2)
        add_image(p, look, sample_place(look->set, sample));
    finish_means(p);
}

/* The nearest mean has the largest x . mean - |mean|^2 / 2. */
static int nearest_class(const probe *p, const float x[DATASET_PIXELS])
{
    float score[PROBE_LANES];
    int best = 0;
    memcpy(score, p->offset, sizeof score);
    for (int i = 0; i < DATASET_PIXELS; i++) {
        for (int k = 0; k < PROBE_LANES; k++) score[k] += x[i] * p->mean[i][k];
    }
    for (int k = 1; k < DATASET_CLASSES; k++) {
        if (score[k] > score[best]) best = k;
    }
    return best;
}

probe_score probe_try(const probe *p, const probe_look *look)
{
    probe_score score = {0};
    uint32_t classes[DATASET_CLASSES] = {0};
    for (size_t sample = 1, count = sample_count(look->set); sample < count; sample += 2) {
        float x[DATASET_PIXELS];
        size_t place = sample_place(look->set, sample);
        uint8_t label = label_at(look, place);
        view_image(look, place, x);
        score.images++;
        score.correct += nearest_class(p, x) == label;
        classes[label]++;
    }
    for (int k = 0; k < DATASET_CLASSES; k++) score.most = classes[k] > score.most ? classes[k] : score.most;
    return score;
}

double probe_accuracy(const probe_score *score) { return score->images ? (double)score->correct / score->images : 0; }

double probe_chance(const probe_score *score) { return score->images ? (double)score->most / score->images : 1; }

bool probe_tells(const probe_score *score) { return score->images >= LEAST_IMAGES && probe_chance(score) < 0.8; }

/* Within four standard deviations of what always naming the most frequent class would give. */
bool probe_is_at_chance(const probe_score *score)
{
    double chance = probe_chance(score), deviation = sqrt(chance * (1 - chance) / score->images);
    return probe_accuracy(score) < chance + 4 * deviation;
}
