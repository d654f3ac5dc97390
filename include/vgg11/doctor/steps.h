/* What is wrong with how a network starts and learns, from measurements: what is measured, and what it is taken to mean.
 *
 * All is measured on one batch of real images: what a network does not learn of so little it does not learn of more, and losses of the same
 * images can be compared without noise. Nothing here is collective. */
#ifndef VGG11_DOCTOR_STEPS_H
#define VGG11_DOCTOR_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/precision.h"
#include "vgg11/data/batch.h"
#include "vgg11/data/dataset.h"
#include "vgg11/doctor/findings.h"
#include "vgg11/nn/model.h"
#include "vgg11/train/optimizer.h"

enum { DOCTOR_BATCH = 16, DOCTOR_STEPS = 10, DOCTOR_RATES = 6, DOCTOR_HEART_STEPS = 60 };

/* What a training is to be like. */
typedef struct {
    const char *init;
    const char *normalize;
    uint64_t seed;
    vgg_precision precision;
    double lr; /* after warm-up */
    optimizer_config optimizer;
} doctor_setting;

/* The network before its first step. */
typedef struct {
    double loss;
    double spread;                   /* root mean square of what the logits differ from image to image */
    double activation[MODEL_LAYERS]; /* root mean square of each layer's outputs */
    double silent[MODEL_LAYERS];     /* share of channels that are zero for all images */
    double gradient[MODEL_LAYERS];   /* root mean square of each kernel's gradient */
} doctor_start;

/* Steps from that start. */
typedef struct {
    double lr;
    double losses[DOCTOR_STEPS]; /* before each step */
    int steps;                   /* that were taken: fewer where the loss ran away */
    double norm;                 /* mean of the gradient's norm before clipping */
    double scale;                /* mean of the factor of clipping */
    double change;               /* of all weights in the last step: size of the change over that of the weights */
} doctor_trial;

/* One batch, over and over, at the rate of the range test that got furthest (Karpathy, "A Recipe for Training Neural Networks", 2019:
 * "overfit one batch"). */
typedef struct {
    double lr;
    double loss; /* before the last step; as soon as it is below a hundredth of ln 10, that is it */
    int steps;   /* that were taken, DOCTOR_HEART_STEPS at most */
    bool learned;
} doctor_by_heart;

typedef struct {
    doctor_start start;
    doctor_trial asked;               /* at the rate of the setting */
    doctor_trial rates[DOCTOR_RATES]; /* at rates from 1e-5 to 1, a decade apart */
    doctor_trial wider;               /* as asked, with gradients clipped to 1; no steps where they are not clipped to less */
    doctor_by_heart by_heart;
} doctor_measures;

bool doctor_ran_away(const doctor_trial *trial);

/* The loss before the last step of a trial that has one. */
double doctor_last_loss(const doctor_trial *trial);

/* The share of the loss that was gone before the last step, 1 at best; -Inf if the loss ran away. */
double doctor_progress(const doctor_trial *trial);

/* The trial of `rates` that got furthest. */
const doctor_trial *doctor_best_rate(const doctor_measures *measures);

/* Measures all, on images from all over the set. VGG_UNAVAILABLE without memory. */
vgg_status doctor_measure(const doctor_setting *setting, const dataset *set, const normalization *pixels,
                          doctor_measures *measures);

/* Pure functions of what was measured. */
void doctor_judge_start(const doctor_setting *setting, const doctor_start *start, doctor_findings *findings);
void doctor_judge_steps(const doctor_setting *setting, const doctor_measures *measures, doctor_findings *findings);

#endif
