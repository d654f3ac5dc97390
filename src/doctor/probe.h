/* Private to doctor: a classifier that takes the class whose mean image is nearest. On digits it is right four times in five, and it
 * needs no training worth the name. */
#ifndef VGG11_DOCTOR_PROBE_H
#define VGG11_DOCTOR_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/data/dataset.h"

/* Lanes are classes, and some more, so that a pixel's are whole vectors. */
enum { PROBE_LANES = 12, PROBE_IMAGES = 2000, PROBE_SHIFT_MAX = 3, PROBE_ORIENTATIONS = 8 };

/* The eight ways in which a square may lie: pixel (row, column) is taken from first + row * row_step + column * column_step. */
typedef struct {
    int first, row_step, column_step;
    const char *name; /* "transposed" */
} probe_orientation;

extern const probe_orientation probe_orientations[PROBE_ORIENTATIONS]; /* as they are, first */

/* Images of a set, seen in some way, each with the label that stands `shift` places further on. */
typedef struct {
    const dataset *set;
    int orientation;
    bool negative; /* 255 - pixel */
    int shift;
} probe_look;

typedef struct {
    float mean[DATASET_PIXELS][PROBE_LANES];
    float offset[PROBE_LANES]; /* -|mean|^2 / 2; -Inf for a class without images */
} probe;

typedef struct {
    uint32_t images;
    uint32_t correct;
    uint32_t most; /* images of the most frequent class: what is right by always saying the same */
} probe_score;

/* Of up to PROBE_IMAGES images, spread evenly over the set, learns from the first, third, fifth .. */
void probe_learn(probe *p, const probe_look *look);

/* .. and is tried on the second, fourth .., which it has not seen, of that set or of another. */
probe_score probe_try(const probe *p, const probe_look *look);

double probe_accuracy(const probe_score *score);
double probe_chance(const probe_score *score);

/* Whether there are images enough, of classes enough, for the score to mean anything; whether it is then no better than chance. */
bool probe_tells(const probe_score *score);
bool probe_is_at_chance(const probe_score *score);

#endif
