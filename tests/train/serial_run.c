#include "train/serial_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/forward.h"
#include "train/runs.h"
#include "vgg11/data/batch.h"
#include "vgg11/data/sampler.h"
#include "vgg11/nn/initialize.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"

typedef struct {
    uint8_t *images;
    uint8_t *labels;
    dataset set;
    normalization pixels;
    network *net;
    float *input;
    uint32_t *places;
    uint8_t *batch_labels;
    float *dlogits;
    float *gradient;
} serial;

static void *memory(size_t bytes)
{
    void *block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    runs_require(block != NULL, "no memory for the serial run");
    return block;
}

static void read_data(serial *s, const data_config *data)
{
    dataset_source source;
    uint64_t histogram[256] = {0};
    runs_require(dataset_open(data->directory, DATASET_TRAIN, data->train_samples, &source) == VGG_OK, vgg_message());
    s->images = memory((size_t)source.count * DATASET_PIXELS);
    s->labels = memory(source.count);
    vgg_range all = {0, source.count};
    runs_require(dataset_decode(&source, resize_find(data->resize), false, all, s->images, s->labels) == VGG_OK, vgg_message());
    s->places = memory(source.count * sizeof *s->places);
    for (uint32_t i = 0; i < source.count; i++) s->places[i] = i;
    if (data->validation > 0) sampler_split(s->places, source.count);
    s->set = (dataset){s->images, s->labels, source.count - data->validation, s->places};
    for (uint32_t i = 0; i < s->set.count; i++) normalization_count(s->images + s->places[i] * DATASET_PIXELS, 1, histogram);
    normalization_find(data->normalize)->fill(&s->pixels, histogram);
}

static void open_network(serial *s, const train_config *config)
{
    network_config wanted = {.batch_capacity = (int)config->batch_size,
                             .threads = 1,
                             .precision = config->step.network.precision,
                             .conv = config->step.network.conv,
                             .training = true};
    runs_require(network_create(&wanted, &s->net) == VGG_OK, vgg_message());
    s->input = memory(config->batch_size * DATASET_PIXELS * sizeof *s->input);
    s->dlogits = memory(config->batch_size * DATASET_CLASSES * sizeof *s->dlogits);
    s->batch_labels = memory(config->batch_size);
    s->gradient = memory(model_flat_count() * sizeof *s->gradient);
}

static void close_all(serial *s)
{
    void *blocks[] = {s->images, s->labels, s->places, s->input, s->dlogits, s->batch_labels, s->gradient};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    network_destroy(s->net);
}

/* The mean gradient over order[0 .. n-1]. */
static serial_step mean_gradient(serial *s, const train_config *config, const float *weights, uint32_t epoch, const uint32_t *order,
                                 uint32_t n)
{
    serial_step step = {0};
    const char *augment = config->data.augment ? config->data.augment : "none";
    const batch_augmentation changes = {augmentation_find(augment), config->seed, epoch};
    batch_fill_augmented(&s->set, &s->pixels, &changes, order, n, s->input, s->batch_labels);
    const float *logits = forward_images(s->net, weights, s->input, (int)n);
    loss_result loss = loss_softmax_cross_entropy(logits, s->batch_labels, (int)n, config->step.label_smoothing, 1.0f / (float)n,
                                                  s->dlogits);
    network_backward(s->net, weights, s->dlogits, s->gradient, NULL, NULL);
    step.loss = loss.loss_sum / n;
    step.accuracy = (double)loss.correct / n;
    double squares = 0;
    for (size_t i = 0, count = model_flat_count(); i < count; i++) squares += (double)s->gradient[i] * s->gradient[i];
    step.grad_norm = sqrt(squares);
    return step;
}

/* v <- m v - lr g; w <- w + m v - lr g. */
static void nesterov(const train_config *config, const float *gradient, double norm, float *weights, float *velocity)
{
    double clip = config->optimizer.clip_norm, scale = clip > 0 && norm > clip ? clip / norm : 1;
    double rate = config->lr * scale, momentum = config->optimizer.momentum;
    for (size_t i = 0, count = model_flat_count(); i < count; i++) {
        double push = rate * gradient[i], v = momentum * velocity[i] - push;
        velocity[i] = (float)v;
        weights[i] = (float)(weights[i] + momentum * v - push);
    }
}

void serial_run(const train_config *config, serial_step *steps, float *start, float *weights, float *velocity)
{
    serial s = {0};
    read_data(&s, &config->data);
    open_network(&s, config);
    initializer_find(config->init)->fill(config->seed, weights);
    memcpy(start, weights, model_flat_count() * sizeof *start);
    memset(velocity, 0, model_flat_count() * sizeof *velocity);
    uint32_t *order = memory(s.set.count * sizeof *order), done = 0, epoch = 0;
    for (uint64_t step = 0; step < config->max_steps; step++) {
        if (done == 0) sampler_order(config->seed, epoch, config->shuffle, order, s.set.count);
        uint32_t left = s.set.count - done, n = left < config->batch_size ? left : config->batch_size;
        network_prepare(s.net, weights);
        steps[step] = mean_gradient(&s, config, weights, epoch, order + done, n);
        nesterov(config, s.gradient, steps[step].grad_norm, weights, velocity);
        done += n;
        if (done < s.set.count) continue;
        done = 0;
        epoch++;
    }
    free(order);
    close_all(&s);
}
