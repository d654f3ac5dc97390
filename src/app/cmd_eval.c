/* eval: what a checkpoint is worth on the test set. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "app/commands.h"
#include "app/json_output.h"
#include "app/plan_cache.h"
#include "app/step_config.h"
#include "app/threads.h"
#include "app/trained_network.h"
#include "app/command.h"
#include "report/count_matrix.h"
#include "report/metrics_file.h"
#include "report/mistake_list.h"
#include "vgg11/base/log.h"
#include "vgg11/base/memory.h"
#include "vgg11/nn/model.h"
#include "vgg11/nn/network.h"
#include "vgg11/train/evaluate.h"
#include "vgg11/train/shared_dataset.h"

/* Collective: rank 0 reads, all get. */
static vgg_status load(comm *c, const options *o, float *weights, training_facts *facts)
{
    VGG_TRY(comm_agree(c, comm_rank(c) == 0 ? trained_network_load(o->checkpoint, weights, facts) : VGG_OK));
    comm_broadcast(c, facts, sizeof *facts, 0);
    comm_broadcast(c, weights, model_flat_count() * sizeof *weights, 0);
    return VGG_OK;
}

static double ratio(uint64_t part, uint64_t whole) { return whole ? (double)part / (double)whole : 0; }

/* Samples of class `label`, or, by columns, predictions of it. */
static uint64_t line_sum(const evaluation *result, int label, bool column)
{
    uint64_t sum = 0;
    for (int i = 0; i < DATASET_CLASSES; i++) sum += column ? result->confusion[i][label] : result->confusion[label][i];
    return sum;
}

static void print_classes(const evaluation *result)
{
    printf("\n%5s %9s %9s %9s %9s\n", "class", "precision", "recall", "F1", "samples");
    for (int k = 0; k < DATASET_CLASSES; k++) {
        uint64_t hits = result->confusion[k][k], samples = line_sum(result, k, false), said = line_sum(result, k, true);
        printf("%5d %9.4f %9.4f %9.4f %9" PRIu64 "\n", k, ratio(hits, said), ratio(hits, samples), ratio(2 * hits, said + samples),
               samples);
    }
}

static void print_confusion(const evaluation *result)
{
    printf("\nrow: label, column: prediction\n%5s", "");
    for (int k = 0; k < DATASET_CLASSES; k++) printf(" %6d", k);
    for (int label = 0; label < DATASET_CLASSES; label++) {
        printf("\n%5d", label);
        for (int k = 0; k < DATASET_CLASSES; k++) printf(" %6" PRIu64, result->confusion[label][k]);
    }
    putchar('\n');
}

static void print_mistakes(const evaluation_mistakes *mistakes)
{
    if (mistakes->count > 0) puts("\nmost confident errors\n  image  label  prediction  probability");
    for (uint32_t i = 0; i < mistakes->count; i++) {
        const evaluation_mistake *m = &mistakes->list[i];
        printf("%7" PRIu32 " %6u %11u %10.2f %%\n", m->image, m->label, m->answer, 100 * m->probability);
    }
}

/* NULL without memory. */
static json_t *mistakes_json(const evaluation_mistakes *mistakes)
{
    run_mistake told[EVALUATION_MISTAKES];
    for (uint32_t i = 0; i < mistakes->count; i++) told[i] = evaluation_tell_mistake(&mistakes->list[i]);
    return mistake_list_json(told, (int)mistakes->count);
}

static vgg_status print_json(const options *o, const training_facts *facts, const evaluation *result)
{
    json_t *object = json_pack("{s:s, s:I, s:I, s:o, s:f, s:o, s:o}", "checkpoint", o->checkpoint, "step", (json_int_t)facts->step,
                               "samples", (json_int_t)result->samples, "test_loss", metrics_real(result->loss), "test_accuracy",
                               result->accuracy, "confusion",
                               count_matrix_json(&result->confusion[0][0], DATASET_CLASSES, DATASET_CLASSES), "mistakes",
                               mistakes_json(&result->mistakes));
    if (!object) return vgg_fail(VGG_UNAVAILABLE, "not enough memory to print the results");
    return json_output(object, " the results");
}

static vgg_status print_text(const options *o, const training_facts *facts, const evaluation *result)
{
    printf("%s (step %" PRIu64 ")\n%" PRIu64 " test images: loss %.4f, accuracy %.2f %%\n", o->checkpoint, facts->step,
           result->samples, result->loss, 100 * result->accuracy);
    print_classes(result);
    print_confusion(result);
    print_mistakes(&result->mistakes);
    return VGG_OK;
}

/* As in the run that made the checkpoint, its mistake included, so that eval finds what that run found; a filter that is named
 * resizes all of them. */
static vgg_status open_images(comm *c, const options *o, const training_facts *facts, shared_dataset *test)
{
    bool bug = facts->resize_bug && !options_given(o, offsetof(options, resize));
    const char *resize = trained_network_resize(o, facts);
    if (bug)
        vgg_log(VGG_LOG_INFO,
                "trained with --resize-bug: of the test images, too, only the first and the last are not zero; "
                "--resize %s shows it whole ones",
                resize);
    return shared_dataset_open(c, o->data, DATASET_TEST, (uint32_t)o->test_samples, resize, bug, test);
}

static vgg_status evaluate(comm *c, const options *o, int threads, const float *weights, const training_facts *facts)
{
    shared_dataset test;
    VGG_TRY(open_images(c, o, facts, &test));
    shared_dataset_tell_copy(&test);
    uint32_t batch = (uint32_t)((o->batch_size + (uint64_t)comm_size(c) - 1) / (uint64_t)comm_size(c));
    char plan_cache[OPTION_TEXT_MAX];
    network_config config = step_config_of(o, threads, plan_cache_path(o, plan_cache)).network;
    config.precision = trained_network_precision(o, facts);
    config.batch_capacity = (int)batch;
    config.node_ranks = comm_node_size(c);
    config.agreement = training_step_agreement(c);
    network *net = NULL;
    vgg_status status = comm_agree(c, network_create(&config, &net));
    if (status == VGG_OK) {
        normalization table;
        evaluation result;
        normalization_restore(&table, facts->mean, facts->deviation);
        network_prepare(net, weights);
        status = evaluate_run(c, net, weights, &test.set, &table, batch, &result);
        if (status == VGG_OK && comm_rank(c) == 0) status = (o->json ? print_json : print_text)(o, facts, &result);
        status = comm_agree(c, status);
    }
    network_destroy(net);
    shared_dataset_close(&test);
    return status;
}

vgg_status cmd_eval(comm *c, const options *o)
{
    if (!o->checkpoint) return vgg_fail(VGG_BAD_OPTION, "eval: --checkpoint FILE is missing");
    thread_plan plan;
    VGG_TRY(threads_plan(c, o->threads, &plan));
    size_t bytes = model_flat_count() * sizeof(float);
    void *weights = NULL;
    training_facts facts;
    vgg_status status = comm_agree(c, vgg_map(bytes, &weights));
    if (status == VGG_OK) status = load(c, o, weights, &facts);
    if (status == VGG_OK) status = evaluate(c, o, plan.threads, weights, &facts);
    vgg_unmap(weights, bytes);
    return status;
}
