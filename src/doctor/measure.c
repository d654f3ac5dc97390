/* The start of a network, and some steps from there. */
#include <math.h>
#include <string.h>

#include "vgg11/base/memory.h"
#include "vgg11/doctor/steps.h"
#include "vgg11/nn/initialize.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/network.h"

typedef struct {
    const doctor_setting *setting;
    network *net;
    int images;
    vgg_arena arena;
    float *initial, *weights, *velocity, *gradient;
    float dlogits[DOCTOR_BATCH * MODEL_CLASSES];
    uint8_t labels[DOCTOR_BATCH];
    double squares[MODEL_TENSORS]; /* of the gradient */
} patient;

static vgg_status open_patient(patient *p, const doctor_setting *setting)
{
    size_t bytes = model_flat_count() * sizeof(float);
    network_config config = {
        .batch_capacity = p->images, .threads = setting->optimizer.threads, .precision = setting->precision, .training = true};
    for (int i = 0; i < 4; i++) arena_reserve(&p->arena, bytes);
    VGG_TRY(arena_open(&p->arena));
    p->initial = arena_take(&p->arena, bytes);
    p->weights = arena_take(&p->arena, bytes);
    p->velocity = arena_take(&p->arena, bytes);
    p->gradient = arena_take(&p->arena, bytes);
    initializer_find(setting->init)->fill(setting->seed, p->initial);
    return network_create(&config, &p->net);
}

static void fill_batch(patient *p, const dataset *set, const normalization *pixels)
{
    uint32_t order[DOCTOR_BATCH];
    for (int i = 0; i < p->images; i++) order[i] = (uint32_t)((uint64_t)i * set->count / (uint64_t)p->images);
    batch_fill(set, pixels, order, (uint32_t)p->images, network_input(p->net), p->labels);
}

static void begin_again(patient *p)
{
    memcpy(p->weights, p->initial, model_flat_count() * sizeof *p->weights);
    memset(p->velocity, 0, model_flat_count() * sizeof *p->velocity);
    network_prepare(p->net, p->weights);
}

static double sum_squares(const float *values, size_t count)
{
    double sum = 0;
#pragma omp parallel for simd schedule(static) reduction(+ : sum)
    for (size_t i = 0; i < count; i++) sum += (double)values[i] * values[i];
    return sum;
}

/* Forward and backward; returns the mean loss. */
static double compute_gradient(patient *p, const float **logits)
{
    *logits = network_forward(p->net, p->weights, p->images);
    loss_result loss = loss_softmax_cross_entropy(*logits, p->labels, p->images, 0, 1.0f / (float)p->images, p->dlogits);
    network_backward(p->net, p->weights, p->dlogits, p->gradient, NULL, NULL);
    for (int t = 0; t < MODEL_TENSORS; t++)
        p->squares[t] = sum_squares(p->gradient + model_tensors()[t].offset, model_tensors()[t].count);
    return loss.loss_sum / p->images;
}

/* Of logits[images][10]: without what they have in common, nothing tells one image from another. */
static double spread_of(const float *logits, int images)
{
    double squares = 0;
    for (int k = 0; k < MODEL_CLASSES; k++) {
        double sum = 0;
        for (int i = 0; i < images; i++) sum += logits[i * MODEL_CLASSES + k];
        for (int i = 0; i < images; i++) {
            double off = logits[i * MODEL_CLASSES + k] - sum / images;
            squares += off * off;
        }
    }
    return sqrt(squares / (images * MODEL_CLASSES));
}

static void measure_start(patient *p, doctor_start *start)
{
    const float *logits;
    begin_again(p);
    start->loss = compute_gradient(p, &logits);
    start->spread = spread_of(logits, p->images);
    for (int i = 0; i < MODEL_LAYERS; i++) {
        network_activity activity = network_layer_activity(p->net, i);
        start->activation[i] = activity.rms;
        start->silent[i] = activity.silent;
        start->gradient[i] = sqrt(p->squares[2 * i] / (double)model_tensors()[2 * i].count);
    }
}

static bool is_lost(double loss, double first) { return !isfinite(loss) || loss > 4 * fmax(first, log(MODEL_CLASSES)); }

/* A step from the gradient that was computed last, unless its norm is no number. */
static clip_result take_step(patient *p, const optimizer_config *optimizer, double lr)
{
    clip_result clip;
    optimizer_buffers buffers = {p->weights, p->velocity, p->gradient, NULL};
    optimizer_clip(optimizer, p->squares, &clip);
    if (!isfinite(clip.norm)) return clip;
    optimizer_update(optimizer, &clip, (float)lr, (vgg_range){0, model_flat_count()}, &buffers);
    network_prepare(p->net, p->weights);
    return clip;
}

static void measure_trial(patient *p, double lr, double clip_norm, doctor_trial *trial)
{
    optimizer_config optimizer = p->setting->optimizer;
    optimizer.clip_norm = (float)clip_norm;
    *trial = (doctor_trial){.lr = lr};
    begin_again(p);
    while (trial->steps < DOCTOR_STEPS) {
        const float *logits;
        double loss = trial->losses[trial->steps++] = compute_gradient(p, &logits);
        clip_result clip = take_step(p, &optimizer, lr);
        trial->norm += (clip.norm - trial->norm) / trial->steps;
        trial->scale += (clip.smallest_scale - trial->scale) / trial->steps;
        if (is_lost(loss, trial->losses[0]) || !isfinite(clip.norm)) return;
    }
    trial->change = sqrt(sum_squares(p->velocity, model_flat_count()) / sum_squares(p->weights, model_flat_count()));
}

static void measure_by_heart(patient *p, double lr, doctor_by_heart *heart)
{
    *heart = (doctor_by_heart){.lr = lr};
    begin_again(p);
    while (heart->steps < DOCTOR_HEART_STEPS && !heart->learned) {
        const float *logits;
        heart->loss = compute_gradient(p, &logits);
        heart->learned = heart->loss < 0.01 * log(MODEL_CLASSES);
        heart->steps++;
        if (!isfinite(take_step(p, &p->setting->optimizer, lr).norm)) return;
    }
}

static void measure_all(patient *p, doctor_measures *measures)
{
    const doctor_setting *setting = p->setting;
    double clip = setting->optimizer.clip_norm;
    measure_start(p, &measures->start);
    measure_trial(p, setting->lr, clip, &measures->asked);
    for (int i = 0; i < DOCTOR_RATES; i++) measure_trial(p, pow(10, i - (DOCTOR_RATES - 1)), clip, &measures->rates[i]);
    if (clip > 0 && clip < 1) measure_trial(p, setting->lr, 1, &measures->wider);
    measure_by_heart(p, doctor_best_rate(measures)->lr, &measures->by_heart);
}

vgg_status doctor_measure(const doctor_setting *setting, const dataset *set, const normalization *pixels, doctor_measures *measures)
{
    patient p = {.setting = setting, .images = set->count < DOCTOR_BATCH ? (int)set->count : DOCTOR_BATCH};
    *measures = (doctor_measures){.asked = {.lr = setting->lr}};
    vgg_status status = open_patient(&p, setting);
    if (status == VGG_OK) {
        fill_batch(&p, set, pixels);
        measure_all(&p, measures);
    }
    network_destroy(p.net);
    arena_close(&p.arena);
    return status;
}
