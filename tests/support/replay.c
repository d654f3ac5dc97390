#include "support/replay.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Streams of the hash, as in torch_replay.py; tensor t has stream t. */
enum { INPUT_STREAM = 100, LABEL_STREAM = 101, SAMPLE_STREAM = 200 };

/* MurmurHash3's finaliser. */
static uint32_t mix(uint32_t stream, uint32_t index)
{
    uint32_t h = index + stream * UINT32_C(0x9E3779B9);
    h = (h ^ (h >> 16)) * UINT32_C(0x85EBCA6B);
    h = (h ^ (h >> 13)) * UINT32_C(0xC2B2AE35);
    return h ^ (h >> 16);
}

static void fill_uniform(uint32_t stream, double limit, float *values, size_t count)
{
    float unit = (float)limit / (float)(1 << 23);
    for (size_t i = 0; i < count; i++) values[i] = (float)((int32_t)(mix(stream, (uint32_t)i) >> 8) - (1 << 23)) * unit;
}

void replay_fill_weights(float *weights)
{
    const tensor_view *tensors = model_tensors();
    memset(weights, 0, model_flat_count() * sizeof *weights);
    for (uint32_t t = 0; t < MODEL_TENSORS; t++)
        fill_uniform(t, tensors[t].kernel ? sqrt(6.0 / tensors[t].fan_in) : 0.1, weights + tensors[t].offset, tensors[t].count);
}

static void read_numbers(FILE *file, double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) ck_assert_int_eq(fscanf(file, "%lf", &values[i]), 1);
}

static void read_tensors(FILE *file, const char *kind, replay_tensor *out)
{
    for (int t = 0; t < MODEL_TENSORS; t++) {
        char word[16], name[16];
        ck_assert_int_eq(fscanf(file, "%15s %15s %lf %lf", word, name, &out[t].sum, &out[t].norm), 4);
        ck_assert_str_eq(word, kind);
        ck_assert_str_eq(name, model_tensors()[t].name);
        read_numbers(file, out[t].samples, REPLAY_SAMPLES);
    }
}

static void read_file(FILE *file, replay *r)
{
    int batch, samples;
    ck_assert_int_eq(fscanf(file, "#%*[^\n] batch %d samples %d", &batch, &samples), 2);
    ck_assert_int_eq(batch, REPLAY_BATCH);
    ck_assert_int_eq(samples, REPLAY_SAMPLES);
    ck_assert_int_eq(fscanf(file, " recipe %lf %lf %lf", &r->learning_rate, &r->momentum, &r->clip_norm), 3);
    ck_assert_int_eq(fscanf(file, " logits"), 0);
    read_numbers(file, r->logits, REPLAY_BATCH * MODEL_CLASSES);
    read_tensors(file, "gradient", r->gradient);
    for (int step = 0; step < REPLAY_STEPS; step++)
        ck_assert_int_eq(fscanf(file, " step %lf %lf", &r->loss[step], &r->gradient_norm[step]), 2);
    read_tensors(file, "change", r->change);
}

replay *replay_open(void)
{
    FILE *file = fopen(VGG_TEST_FIXTURES "/torch_replay.txt", "r");
    replay *r = calloc(1, sizeof *r);
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(r);
    read_file(file, r);
    fclose(file);
    fill_uniform(INPUT_STREAM, 1.0, r->input, sizeof r->input / sizeof *r->input);
    for (uint32_t i = 0; i < REPLAY_BATCH; i++) r->labels[i] = (uint8_t)(mix(LABEL_STREAM, i) % MODEL_CLASSES);
    return r;
}

typedef void (*samples_check)(const float *values, const tensor_view *view, uint32_t t, const double *expected, double tolerance,
                              const char *what);

static uint32_t sample_index(const tensor_view *view, uint32_t t, uint32_t j)
{
    return mix(SAMPLE_STREAM + t, j) % (uint32_t)view->count;
}

static void check_each_sample(const float *values, const tensor_view *view, uint32_t t, const double *expected, double tolerance,
                              const char *what)
{
    double largest = 0;
    for (int j = 0; j < REPLAY_SAMPLES; j++) largest = fmax(largest, fabs(expected[j]));
    for (uint32_t j = 0; j < REPLAY_SAMPLES; j++) {
        uint32_t index = sample_index(view, t, j);
        double difference = fabs(values[index] - expected[j]);
        ck_assert_msg(difference <= tolerance * largest, "%s %s[%u]: %.9g, expected %.9g", what, view->name, index, values[index],
                      expected[j]);
    }
}

static void check_all_samples(const float *values, const tensor_view *view, uint32_t t, const double *expected, double tolerance,
                              const char *what)
{
    double errors = 0, squares = 0;
    for (uint32_t j = 0; j < REPLAY_SAMPLES; j++) {
        double error = values[sample_index(view, t, j)] - expected[j];
        errors += error * error;
        squares += expected[j] * expected[j];
    }
    ck_assert_msg(sqrt(errors) <= tolerance * sqrt(squares), "%s %s: %.3g of the samples' size", what, view->name,
                  sqrt(errors / squares));
}

static void check_tensors(const float *flat, const replay_tensor *expected, double tolerance, samples_check check_samples,
                          const char *what)
{
    for (uint32_t t = 0; t < MODEL_TENSORS; t++) {
        const tensor_view *view = &model_tensors()[t];
        const float *values = flat + view->offset;
        double sum = 0, squares = 0, norm = expected[t].norm;
        for (size_t i = 0; i < view->count; i++) {
            sum += values[i];
            squares += (double)values[i] * values[i];
        }
        ck_assert_msg(fabs(sqrt(squares) - norm) <= tolerance * norm, "%s %s: norm %.9g, expected %.9g", what, view->name,
                      sqrt(squares), norm);
        ck_assert_msg(fabs(sum - expected[t].sum) <= tolerance * norm * sqrt((double)view->count), "%s %s: sum %.9g, expected %.9g",
                      what, view->name, sum, expected[t].sum);
        check_samples(values, view, t, expected[t].samples, tolerance, what);
    }
}

void replay_assert_close(const float *flat, const replay_tensor *expected, double tolerance, const char *what)
{
    check_tensors(flat, expected, tolerance, check_each_sample, what);
}

void replay_assert_near(const float *flat, const replay_tensor *expected, double tolerance, const char *what)
{
    check_tensors(flat, expected, tolerance, check_all_samples, what);
}
